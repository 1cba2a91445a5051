{# What a release says of something that was taken down, from a row of stg_takedown: the kind of name that was asked for,
   the day and why. A name (an uploader's, an address) is what must not be published. #}
{% macro taken_down_because() -%}
    if(kind = 'copy', '', 'its ' || kind || ' was taken down on ' || left(created_at, 10) || ': ') || why
{%- endmacro %}
