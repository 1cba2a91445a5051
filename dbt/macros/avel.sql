{# Of several answers of ten 0 or 1 each: 1 for the seconds that more than half of them mark; null for no answer. #}
{% macro avel_majority(answers) -%}
    if(
        len({{ answers }}) > 0,
        list_transform(
            range(1, 11),
            lambda k: (2 * list_sum(list_transform({{ answers }}, lambda one: one[k])) > len({{ answers }}))::integer
        ),
        null
    )
{%- endmacro %}

{# A clip's name as VGGSound writes it: <video>_<start, six digits>; the video alone where the start is not known. #}
{% macro avel_name(video, start_s) -%}
    {{ video }} || case
        when {{ start_s }} is null then ''
        when {{ start_s }} = floor({{ start_s }}) then printf('_%06d', {{ start_s }}::bigint)
        else printf('_%010.3f', {{ start_s }})
    end
{%- endmacro %}
