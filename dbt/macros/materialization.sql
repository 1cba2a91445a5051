{#
    How a model becomes a table: `create table`, and nothing beside it. dbt's own way builds beside the table that stands, renames
    twice and drops what was there; every call here has a database of its own in which nothing stands yet
    (winnow/release/dbt_run.py), and half of a build's time went there.
#}
{% materialization table, adapter='duckdb', supported_languages=['sql', 'python'] %}
    {%- set target = this.incorporate(type='table') -%}
    {{ drop_relation_if_exists(load_cached_relation(this)) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- call statement('main', language=model['language']) -%}
        {{ create_table_as(False, target, compiled_code, model['language']) }}
    {%- endcall -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}
