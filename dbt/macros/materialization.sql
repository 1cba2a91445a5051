{#
    How a model becomes a table: `create table`, and nothing beside it. dbt's own way builds beside the table that stands, renames
    twice and drops what was there; every call here has a database of its own in which nothing stands yet
    (winnow/release/dbt_run.py), and half of a build's time went there.

    A model's grain is its `meta.key`: no two rows share it, and nothing in it is null. That is asked of the table in the same node,
    at a tenth of what a data test of its own costs; where it does not hold, the build names the model and goes no further from it.
#}
{% materialization table, adapter='duckdb', supported_languages=['sql', 'python'] %}
    {%- set target = this.incorporate(type='table') -%}
    {{ drop_relation_if_exists(load_cached_relation(this)) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- call statement('main', language=model['language']) -%}
        {{ create_table_as(False, target, compiled_code, model['language']) }}
    {%- endcall -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {%- if execute -%}{{ hold_key(target, config.get('meta', {}).get('key', [])) }}{%- endif -%}
    {{ adapter.commit() }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}

{% macro hold_key(table, columns) %}
    {%- if columns -%}
        {%- call statement('key', fetch_result=True) -%}
            select count(*), min(named) from (
                select struct_pack({% for column in columns %}"{{ column }}" := "{{ column }}"{% if not loop.last %}, {% endif %}{% endfor %})::varchar as named
                from {{ table }}
                group by {% for column in columns %}"{{ column }}"{% if not loop.last %}, {% endif %}{% endfor %}
                having count(*) > 1{% for column in columns %} or "{{ column }}" is null{% endfor %}
            )
        {%- endcall -%}
        {%- set found = load_result('key')['data'][0] -%}
        {%- if found[0] -%}
            {{ exceptions.raise_compiler_error(
                "its key (" ~ columns | join(", ") ~ ") stands twice or holds a null, " ~ found[0] ~ " times, as in " ~ found[1]
            ) }}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}
