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

{# Stages that leave a vector for either side, and one score of the two. #}
{% macro vector_scorers() -%}
    {{ return(['bridge', 'two_tower', 'ridge', 'joint']) }}
{%- endmacro %}

{# Every scorer that may be calibrated; semantic and sync are the two parts of builtin. #}
{% macro calibrated_scorers() -%}
    {{ return(['builtin', 'semantic', 'sync'] + vector_scorers()) }}
{%- endmacro %}

{# What every one of `vector_scorers` says of a clip, and of what separation left of its sound; the vectors stay in the lake. #}
{% macro vector_scores() -%}
    {{ of_a_sample() }},
    video_id,
    {{ finite('score') }} as score,
    cast(frame_times as double[]) as frame_times,
    cast(frame_scores as double[]) as frame_scores,
    cast(n_frames as bigint) as n_frames,
    cast(fold as bigint) as fold,
    model,
    {{ finite('residual_score') }} as residual_score,
    cast(residual_frame_scores as double[]) as residual_frame_scores
{%- endmacro %}

{# What the built-in scorer says of a sound: a clip's own, or what is left of it without the dialogue. #}
{% macro builtin_scores() -%}
    {{ of_a_sample() }},
    {{ finite('score') }} as score,
    {{ finite('z') }} as z,
    {{ finite('z_error') }} as z_error,
    {{ finite('semantic') }} as semantic,
    {{ finite('sync') }} as sync,
    {{ finite('null_mean') }} as null_mean,
    {{ finite('null_std') }} as null_std,
    cast(fold as bigint) as fold,
    model
{%- endmacro %}

{# Stages whose failures are named beside a clip's rules. #}
{% macro failing_stages() -%}
    {{ return(
        ['probe', 'visual', 'audio', 'fingerprint', 'tags', 'panns', 'yamnet', 'efficientnet', 'correspond']
        + vector_scorers() + ['separate', 'rescore']
    ) }}
{%- endmacro %}
