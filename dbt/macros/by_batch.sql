{#
    How a model whose rows follow from one batch alone is built: for the batches that this build decides, whose stage tables it
    reads. What the others' rows are stands in the lake (winnow/release/parts.py): `parts.parquet` lists these files.

    Models of this kind read each other's new rows, which lie beside the model under a name of their own (`new_rows`); all other
    models read all rows, under the model's name. A model that is not kept (`meta.kept`) is a view for those that are; its name
    means something only while all batches are decided here, so in other builds it does not exist.
#}
{% materialization by_batch, adapter='duckdb' %}
    {%- set kept = config.get('meta', {}).get('kept', false) -%}
    {%- set rows = new_rows(this) -%}
    {%- set listed = "select path from read_parquet('parts.parquet') " -%}
    {%- set parts = listed_paths(listed ~ ("where model = '" ~ model.name ~ "' order by 1" if kept else "limit 1")) | trim -%}
    {%- set read = namespace(sql=compiled_code) -%}
    {%- for id in model.depends_on.nodes -%}
        {%- set node = graph.nodes.get(id, {}) -%}
        {%- if node.get('config', {}).get('materialized') == 'by_batch' -%}
            {%- set relation = api.Relation.create(node.database, node.schema, node.alias) -%}
            {%- set read.sql = read.sql | replace(relation | string, new_rows(relation) | string) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- call statement('main') -%}
        create or replace {{ 'table' if kept else 'view' }} {{ rows }} as {{ read.sql }}
        {%- if kept or parts == '[]' %};
        create or replace view {{ this }} as
        select * from {{ rows }}
            {%- if parts != '[]' %}
        union all
        select * from read_parquet({{ parts }}, hive_partitioning = false)
            {%- endif %}
        {%- endif %}
    {%- endcall -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {%- if execute -%}{{ hold_key(rows, config.get('meta', {}).get('key', [])) }}{%- endif -%}
    {{ adapter.commit() }}
    {{ return({'relations': [this.incorporate(type='view')]}) }}
{% endmaterialization %}

{# Where the rows of the batches that a build decides lie, beside a model by batch. #}
{% macro new_rows(relation) -%}
    {{ return(relation.incorporate(path={'identifier': relation.identifier ~ '__new'})) }}
{%- endmacro %}
