{# A number, or null where it is NaN or infinite: DuckDB sorts NaN above everything, so `z < 1.6` would keep it. #}
{% macro finite(column) -%}
    case when isfinite({{ column }}) then {{ column }} end
{%- endmacro %}

{#
    One row per key for which a rule of thresholds.csv fires: the first one, and the sentence "z 0.31 < 1.645 sigma".

    `relation` has the key columns and, beside them, numbers only: each is a measure that a rule may name. A rule fires
    where `measure op value` holds. A null never fires one (UNPIVOT leaves nulls out); what must not be null has a rule of
    its own (`unmeasured`).
#}
{% macro first_failed(relation, keys, points) -%}
{%- set keys = keys | join(', ') -%}
with fired as (
    {{ fired(relation, keys, points) }}
)

select
    {{ keys }},
    arg_min(rule, position) as rule,
    arg_min(
        measure || ' ' || round(measured, 3) || ' ' || op || ' ' || value || coalesce(' ' || unit, ''), position
    ) as detail
from fired
group by {{ keys }}
{%- endmacro %}

{# One row per key and rule of these points that fires for it, with what was measured. `keys` is one string. #}
{% macro fired(relation, keys, points) -%}
    select {{ keys }}, rules.*, long.measured
    from (
        unpivot {{ relation }} on columns(* exclude ({{ keys }})) into name measure value measured
    ) as long
    join {{ ref('thresholds') }} as rules using (measure)
    where
        rules.point in ('{{ points | join("', '") }}')
        and case rules.op
            when '<' then long.measured < rules.value
            when '<=' then long.measured <= rules.value
            when '>' then long.measured > rules.value
            when '>=' then long.measured >= rules.value
            when '=' then long.measured = rules.value
            when '!=' then long.measured != rules.value
        end
{%- endmacro %}

{# The end of a report on rules, after a CTE `fired` (point, position and the key of what is ruled on): per rule, how many
   of `everyone` pass it alone, and how many pass it and all rules before it of its point; `unit` is what they are. With
   `measured`, a CTE of how many of them have each measure, who has it not does not pass alone, and a column says so. #}
{% macro alone_and_in_order(everyone, unit, key, points, deciding, measured=none) -%}
first_fired as (
    select point, first_position, count(*) as {{ unit }}
    from (select point, {{ key }}, min(position) as first_position from fired group by point, {{ key }})
    group by point, first_position
),

alone as (select point, position, count(*) as {{ unit }} from fired group by point, position),

everyone as (select count(*) as {{ unit }} from {{ everyone }})

select
    rules.point,
    rules.position,
    rules.rule,
    rules.point in ('{{ deciding | join("', '") }}') as decides,
    everyone.{{ unit }},
    {%- if measured %}
    coalesce({{ measured }}.{{ unit }}, 0) as measured,
    coalesce({{ measured }}.{{ unit }}, 0) - coalesce(alone.{{ unit }}, 0) as pass_alone,
    {%- else %}
    everyone.{{ unit }} - coalesce(alone.{{ unit }}, 0) as pass_alone,
    {%- endif %}
    cast(everyone.{{ unit }} - coalesce((
        select sum(first_fired.{{ unit }}) from first_fired
        where first_fired.point = rules.point and first_fired.first_position <= rules.position
    ), 0) as bigint) as pass_in_order
from {{ ref('thresholds') }} as rules
cross join everyone
left join alone using (point, position)
{%- if measured %}
left join {{ measured }} using (measure)
{%- endif %}
where rules.point in ('{{ points | join("', '") }}')
{%- endmacro %}

{# The class of AudioSet that a label is, by id or by display name: joins that give `by_id` and `by_name`, and the id. VGGSound
   says `playing harp` of `Harp`. An id that the class list does not know is an id still: the ontology has 632 classes. #}
{% macro join_classes(label) -%}
left join {{ ref('audioset_classes') }} as by_id on by_id.mid = {{ label }}
left join {{ ref('audioset_classes') }} as by_name
    on by_id.mid is null and lower(by_name.name) = regexp_replace(lower({{ label }}), '^playing ', '')
{%- endmacro %}

{% macro class_mid(label) -%}
    coalesce(by_id.mid, by_name.mid, if(regexp_matches({{ label }}, '^/[mgt]/[0-9a-z_]+$'), {{ label }}, null))
{%- endmacro %}
