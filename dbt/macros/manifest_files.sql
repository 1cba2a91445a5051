{# Paths of the manifests beside the listed shards, as an SQL list; with an empty one, so that the list never is. #}
{% macro manifest_files() -%}
    {{ listed_paths("
        select parse_dirpath(path) || '/' || shard || '.json' from read_parquet('inputs.parquet')
        where v is not null and shards is null
        union all
        select 'empty/none.json'
        order by 1
    ") }}
{%- endmacro %}

{# Paths of the tables of manifests beside the listed compact tables (winnow/core/compact.py), as an SQL list. #}
{% macro shard_files() -%}
    {{ listed_paths("select distinct shards from read_parquet('inputs.parquet') where shards is not null order by 1") }}
{%- endmacro %}

{# What a query lists, as an SQL list of texts. #}
{% macro listed_paths(query) -%}
    {%- set paths = run_query(query).columns[0].values() if execute else [] -%}
    [{% for path in paths %}'{{ path | replace("'", "''") }}'{% if not loop.last %}, {% endif %}{% endfor %}]
{%- endmacro %}
