{# k of the calibrated threshold mean + k·std: one number for every scorer, a row of thresholds.csv. #}
{% macro calibration_k() -%}
    (select value from {{ ref('thresholds') }} where rule = 'avset_low_correspondence')
{%- endmacro %}

{#
    Share of a kind's pairs that score above a threshold, from its histogram (bins of one width, from `start` on): exact
    where the threshold is a bin's edge, as it is for every k that is a multiple of 0.05; between edges a bin is shared out
    evenly.
#}
{% macro share_above(counts, start, width, n, threshold) -%}
    {%- set place -%}
        least(greatest(round(({{ threshold }} - {{ start }}) / {{ width }}, 4), 0), len({{ counts }}))
    {%- endset -%}
    {%- set whole -%} cast(floor({{ place }}) as bigint) {%- endset -%}
    round(1 - (
        coalesce(list_sum({{ counts }}[1:{{ whole }}]), 0)
        + ({{ place }} - floor({{ place }})) * coalesce({{ counts }}[{{ whole }} + 1], 0)
    ) / {{ n }}, 9)
{%- endmacro %}

{# Every scorer that may be calibrated; semantic and sync are the two parts of builtin. #}
{% macro calibrated_scorers() -%}
    {{ return(['builtin', 'semantic', 'sync', 'bridge', 'two_tower', 'joint']) }}
{%- endmacro %}
