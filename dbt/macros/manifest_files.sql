{# Paths of the manifests beside the listed files, as an SQL list; with an empty one, so that the list never is. #}
{% macro manifest_files() -%}
    {%- set paths = [] -%}
    {%- if execute -%}
        {%- set listed -%}
            select parse_dirpath(path) || '/' || shard || '.json' from read_parquet('inputs.parquet')
            where v is not null
            union all
            select 'empty/none.json'
            order by 1
        {%- endset -%}
        {%- set paths = run_query(listed).columns[0].values() -%}
    {%- endif -%}
    [{% for path in paths %}'{{ path | replace("'", "''") }}'{% if not loop.last %}, {% endif %}{% endfor %}]
{%- endmacro %}
