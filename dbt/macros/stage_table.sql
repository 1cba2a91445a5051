{#
    The files of one stage table, as a subquery: every column that a file has, and which batch and shard it came from
    (lake_batch, lake_seq, lake_shard).

    A row that a gate set aside (`quarantined.parquet`, beside the list) is here a failed row with the reason `quarantined`
    and none of the values that broke a rule; a row of `clip` stays, since the rows of its stages hang on it.

    The files are listed when the model is compiled, from `inputs.parquet` in the folder where dbt was started
    (winnow/release/inputs.py writes it): an explicit list, never a glob, so what a build contains is exactly what was admitted. A stage that has not run
    is a typed empty file in that list. Columns that a model does not name are never read: feature vectors stay on disk.
    Files of batches whose parts stand already (`is_decided`) are not read: see by_batch.sql.
#}
{% macro stage_table(stage) -%}
    {%- do source('lake', stage) -%}
    {%- set aside = 0 -%}
    {%- if execute and stage != 'clip' -%}
        {%- set counted -%}
            select count(*) from read_parquet('quarantined.parquet') where stage = '{{ stage }}'
        {%- endset -%}
        {%- set aside = run_query(counted).columns[0].values()[0] -%}
    {%- endif -%}
    {%- if not aside -%}
        {{ stage_files(stage) }}
    {%- else -%}
    (
        with files as (select * from {{ stage_files(stage) }}),

        aside as (
            select batch as lake_batch, sample_id, rules
            from read_parquet('quarantined.parquet')
            where stage = '{{ stage }}'
        )

        select files.* from files anti join aside using (lake_batch, sample_id)
        union all by name
        select
            lake_batch, lake_seq, lake_shard, sample_id,
            'failed' as outcome, 'quarantined' as reason, aside.rules as detail
        from files
        join aside using (lake_batch, sample_id)
    )
    {%- endif -%}
{%- endmacro %}

{# The files themselves, as a subquery. Which shard a row of a compact table came from stands beside it, row for row
   (winnow/core/compact.py); of a table with one shard, in the list. #}
{% macro stage_files(stage) -%}
    {%- set listed = "read_parquet('inputs.parquet') where not is_decided and stage = '" ~ stage ~ "'" -%}
    {%- set paths = listed_paths("select path from " ~ listed ~ " order by 1") -%}
    {%- if execute and paths | trim == '[]' -%}
        {{ exceptions.raise_compiler_error("inputs name no file of stage '" ~ stage ~ "': not even the typed empty one") }}
    {%- endif -%}
    {%- set places = listed_paths("select places from " ~ listed ~ " and places is not null order by 1") -%}
    (
        select
            files.* exclude (file_row_number),
            inputs.batch as lake_batch,
            inputs.seq as lake_seq,
            {% if places | trim == '[]' %}inputs.shard{% else %}coalesce(inputs.shard, places.shard){% endif %} as lake_shard
        from read_parquet(
            {{ paths }},
            union_by_name = true, filename = 'lake_path', file_row_number = true, hive_partitioning = false
        ) as files
        join {{ ref('stg_inputs') }} as inputs on inputs.path = files.lake_path
        {%- if places | trim != '[]' %}
        left join read_parquet(
            {{ places }},
            filename = 'places_path', file_row_number = true, hive_partitioning = false
        ) as places
            on places.places_path = inputs.places and places.file_row_number = files.file_row_number
        {%- endif %}
    )
{%- endmacro %}

{# What a measuring stage's table says of every sample, first of all: where its row came from, and what became of it. #}
{% macro of_a_sample() -%}
    lake_batch as batch,
    cast(left(lake_shard, 5) as integer) as shard_number,
    sample_id,
    outcome,
    reason
{%- endmacro %}
