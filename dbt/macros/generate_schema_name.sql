{# A model's schema is the one it names: `main` and `ops` are what users see, so no target name may be put before it. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
