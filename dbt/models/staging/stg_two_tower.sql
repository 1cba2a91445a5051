-- One row per clip: how near sound and picture are in the space that was fitted on the corpus (the vectors stay in the lake).
select
    lake_batch as batch,
    cast(left(lake_shard, 5) as integer) as shard_number,
    sample_id,
    outcome,
    reason,
    video_id,
    {{ finite('score') }} as score,
    cast(frame_times as double[]) as frame_times,
    cast(frame_scores as double[]) as frame_scores,
    cast(n_frames as bigint) as n_frames,
    cast(fold as bigint) as fold,
    model
from {{ stage_table('two_tower') }}
