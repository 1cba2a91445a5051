"""What breaks each rule of the gates' suites: SQL that spoils a good table, by boundary, suite and rule."""

from __future__ import annotations

ONE = "sample_id = (SELECT min(sample_id) FROM {t} WHERE outcome = 'ok')"


def broken(column: str, value: str, stage: str = "{t}") -> str:
    """SQL that spoils one ok row of a stage's table."""
    return f"UPDATE {stage} SET {column} = {value} WHERE {ONE}".replace("{t}", stage)


def spoilt(name: str, column: str, value: str, where: str = "true") -> str:
    """SQL that spoils the first row of a published table."""
    return f"UPDATE {name} SET {column} = {value} WHERE rowid = (SELECT min(rowid) FROM {name} WHERE {where})"


#: What the suites of networks with one vector a clip ask alike.
NETWORK = {
    "vector_is_there": broken("embedding", "NULL"),
    "vector_is_not_empty": broken("embedding", "[]"),
    "vectors_have_one_width": broken("embedding", "[1.0]"),
    "vectors_are_finite": broken("embedding", "list_transform(embedding, lambda x: 'inf'::float)"),
    "checkpoint_is_named": broken("model", "'net'"),
    "checkpoint_is_there": broken("model", "NULL"),
}
#: What the suites of features by second ask alike.
SECONDS = {
    "features_are_there": broken("features", "NULL"),
    "features_are_whole": broken("features", "features[2:]"),
    "features_have_one_shape": broken("features", "list_concat(features, features)"),
    "features_are_finite": broken("features", "list_transform(features, lambda x: 'inf'::float)"),
    "seconds_were_measured": broken("n_seconds", "0"),
    "checkpoint_is_named": broken("model", "'net'"),
    "checkpoint_is_there": broken("model", "NULL"),
}
#: Scorers of vectors that are fitted on nothing.
PAIRED = ("bridge", "joint")
#: A scorer whose interval touches chance, and nobody has said why it may decide.
NEAR_CHANCE = (
    "UPDATE rpt_scorers SET auc = 0.55, auc_low = 0.45, auc_high = 0.65, p_value = 0.3 WHERE scorer = 'builtin'; "
    "UPDATE fct_clips SET model = (SELECT model FROM rpt_scorers WHERE scorer = 'builtin')"
)

BATCH = {
    "{stage}": {
        "sample_id_is_there": broken("sample_id", "NULL"),
        "sample_id_is_unique_in_its_shard": "INSERT INTO {t} (SELECT * FROM {t} LIMIT 1)",
        "sample_id_has_its_form": broken("sample_id", "'XYZ'"),
        "outcome_is_known": broken("outcome", "'perhaps'"),
        "outcome_is_there": broken("outcome", "NULL"),
        "reason_is_known": "UPDATE {t} SET outcome = 'failed', reason = 'bad luck' WHERE " + ONE,
        "failed_rows_have_a_reason": broken("outcome", "'failed'"),
    },
    "shards": {
        "every_shard_is_committed": "UPDATE shards SET committed = false WHERE stage = 'clip'",
        "tables_are_the_committed_bytes": "UPDATE shards SET digest_holds = false WHERE stage = 'clip'",
        "rows_are_ok_or_failed": "UPDATE shards SET failed = failed + 1 WHERE stage = 'clip'",
        "manifests_count_right": "UPDATE shards SET table_ok = table_ok + 1 WHERE stage = 'clip'",
        "columns_are_the_declared_ones": "UPDATE shards SET misfit_columns = 'fps' WHERE stage = 'clip'",
    },
    "missing": {"every_input_has_an_outcome": "DELETE FROM audio WHERE " + ONE.replace("{t}", "audio")},
    "orphans": {"every_outcome_has_an_input": broken("sample_id", "'0123456789abcdef0123'", "audio")},
    "ingest": {
        "a_candidate_comes_once": """INSERT INTO "ingest" (SELECT * FROM "ingest" WHERE outcome = 'ok' LIMIT 1)""",
        "candidates_have_a_url": broken("url", "NULL"),
        "candidates_have_a_video": broken("video_id", "'v'"),
        "video_is_there": broken("video_id", "NULL"),
        "source_is_there": broken("source", "NULL"),
        "segments_have_length": broken("start_s", "5, end_s = 5"),
        "segments_start_in_the_video": broken("start_s", "-1"),
    },
    "fetch": {
        "a_candidate_comes_once": """INSERT INTO "fetch" (SELECT * FROM "fetch" WHERE outcome = 'ok' LIMIT 1)""",
        "media_is_named_by_content": broken("media_sha256", "'abc'"),
        "media_digest_is_there": broken("media_sha256", "NULL"),
        "media_has_bytes": broken("media_bytes", "0"),
        "media_bytes_are_there": broken("media_bytes", "NULL"),
        "extension_is_lower_case": broken("media_ext", "'MP4'"),
    },
    "clip": {
        "clips_name_their_candidate": broken("candidate_id", "'c'"),
        "candidate_is_there": broken("candidate_id", "NULL"),
        "clips_name_their_video": broken("video_id", "NULL"),
        "clips_start_in_the_video": broken("start_s", "-1"),
        "clips_have_length": broken("duration_s", "0"),
        "length_is_there": broken("duration_s", "NULL"),
        "clips_are_as_long_as_asked": "UPDATE clip SET end_s = start_s + duration_s + 1",
        "pictures_have_width": broken("width", "0"),
        "pictures_have_height": broken("height", "0"),
        "frame_rate_is_plausible": broken("fps", "90000"),
        "media_is_named_by_content": broken("media_sha256", "'abc'"),
        "media_has_bytes": broken("media_bytes", "0"),
        "sound_is_known": broken("has_audio", "NULL"),
    },
    "probe": {
        "duration_is_there": broken("duration_s", "NULL"),
        "duration_is_positive": broken("duration_s", "0"),
        "frames_are_there": broken("n_frames", "0"),
        "frame_rate_is_plausible": broken("fps", "0"),
        "sound_is_known": broken("has_audio", "NULL"),
        "sound_has_a_codec": broken("has_audio", "NOT has_audio"),
        "sample_rate_is_plausible": broken("rate_hz", "0"),
        "channels_are_plausible": broken("channels", "0"),
        "silence_is_a_ratio": broken("silence_ratio", "1.01"),
        "stillness_is_a_ratio": broken("stillness", "-0.01"),
        "stillness_is_there": "UPDATE probe SET stillness = 'nan'::double",
        "blackness_is_a_ratio": broken("black_ratio", "100"),
        "blackness_is_there": "UPDATE probe SET black_ratio = NULL",
        "loudness_is_plausible": broken("loudness_lufs", "65"),
        "peak_is_plausible": broken("peak_dbfs", "32767"),
        "pixels_are_plausible": broken("sar", "0"),
        "colour_range_is_known": broken("colour_range", "'both'"),
    },
    "visual": {
        "layers_are_there": broken("v3", "NULL"),
        "layers_are_not_empty": broken("motion", "[]"),
        "layers_have_one_width": broken("v0", "[1.0]"),
        "features_are_finite": broken("v4", "list_transform(v4, lambda x: 'nan'::float)"),
    },
    "audio": {
        "layers_are_there": broken("a3", "NULL"),
        "layers_are_not_empty": broken("onset", "[]"),
        "layers_have_one_width": broken("a0", "[1.0]"),
        "features_are_finite": broken("onset", "['inf'::float]"),
    },
    "fingerprint": {
        "version_is_named": broken("version", "NULL"),
        "video_is_named": broken("video_id", "NULL"),
        "sketches_are_whole": broken("picture", "picture[2:]"),
        "picture_void_is_known": broken("picture_void", "'blurred'"),
        "sound_void_is_known": broken("sound_void", "'loud'"),
        "a_picture_without_moments_says_why": broken("picture_moments", "0"),
        "a_sound_without_moments_says_why": broken("sound_moments", "0"),
    },
    "open_clip": {
        "layers_are_there": broken("layer_3", "NULL"),
        "layers_are_not_empty": broken("layer_0", "[]"),
        "layers_have_one_width": broken("embedding", "[1.0]"),
        "features_are_finite": broken("layer_4", "list_transform(layer_4, lambda x: 'inf'::float)"),
        "pictures_were_seen": broken("n_frames", "0"),
        "checkpoint_is_named": broken("model", "'net'"),
        "checkpoint_is_there": broken("model", "NULL"),
    },
    "efficientnet": {
        **NETWORK,
        "pictures_were_seen": broken("n_frames", "0"),
        "tags_are_the_likeliest_classes": broken("tag_scores", "[0.9, 0.95]"),
    },
    "yamnet": {
        **NETWORK,
        "patches_were_heard": broken("n_patches", "0"),
        "scores_are_of_every_class": broken("scores", "scores[2:]"),
        "tags_are_the_highest_scores": broken("tag_scores", "[0.0, 0.0]"),
    },
    "vggish": SECONDS,
    "vgg19": SECONDS,
    "panns": {
        "layers_are_there": broken("layer_3", "NULL"),
        "layers_are_not_empty": broken("layer_0", "[]"),
        "layers_have_one_width": broken("layer_2", "[1.0]"),
        "features_are_finite": broken("layer_4", "list_transform(layer_4, lambda x: 'inf'::float)"),
        "windows_were_seen": broken("n_windows", "0"),
        "checkpoint_is_named": broken("model", "'net'"),
        "checkpoint_is_there": broken("model", "NULL"),
        "scores_are_of_every_class": broken("scores", "list_transform(scores, lambda x: 2 * x + 0.01)"),
        "tags_are_the_highest_scores": broken("tag_scores", "[0.4, 0.3]"),
    },
    **{
        scorer: {
            "score_is_there": broken("score", "NULL"),
            "score_is_a_cosine": broken("score", "20 * score"),
            "scores_are_finite": broken("frame_scores", "['nan'::float]"),
            "pictures_were_seen": broken("n_frames", "0"),
            "every_picture_has_time_and_score": broken("frame_times", "[]"),
            "score_is_the_mean_of_its_pictures": broken(
                "frame_scores", "list_transform(frame_scores, lambda x: x / 2)"
            ),
            "score_is_the_vectors_product": broken("picture", "list_reverse(picture)"),
            "sound_is_a_unit_vector": broken("sound", "list_transform(sound, lambda x: 20 * x)"),
            "picture_is_no_longer_than_one": broken("picture", "list_transform(sound, lambda x: 2 * x)"),
            "residuals_are_scored_as_sounds_are": broken("residual_score", "0.5"),
            **({"a_video_is_scored_by_one_fold": f"UPDATE {scorer} SET fold = rowid"} if scorer in PAIRED else {}),
            "one_model": broken("model", "'another@0123456789ab'"),
            "model_is_named": broken("model", "'net'"),
            "model_is_there": broken("model", "NULL"),
        }
        for scorer in (*PAIRED, "ridge", "two_tower")
    },
    "cluster": {
        "visual_clusters_are_there": broken("visual_clusters", "[]"),
        "audio_clusters_are_there": broken("audio_clusters", "[]"),
        "every_clip_has_the_same_layers": broken("audio_clusters", "[1]"),
        "ids_count_from_0": broken("visual_clusters", "[-1, 0, 0, 0, 0]"),
        "one_model": broken("model", "'another'"),
        "model_is_named": broken("model", "NULL"),
    },
    "correspond": {
        "score_is_there": broken("score", "NULL"),
        "z_is_there": broken("z", "NULL"),
        "scores_are_finite": broken("z", "'inf'::double"),
        "the_null_has_width": broken("null_std", "0"),
        "z_is_the_score_against_the_null": broken("z", "z + 0.1"),
        "one_model": broken("model", "'another'"),
        "model_is_named": broken("model", "NULL"),
    },
    "tags": {
        "speech_is_a_score": broken("speech", "90"),
        "speech_is_there": broken("speech", "NULL"),
        "music_is_a_score": broken("music", "-0.1"),
        "music_is_there": broken("music", "NULL"),
        "silence_is_a_share": broken("silence", "1.5"),
        "noise_is_a_score": broken("noise", "2"),
        "classes_have_scores": broken("tag_scores", "[0.2]"),
        "best_first": broken("tag_scores", "[0.1, 0.2]"),
        "a_tagger_gives_what_it_knows": broken("knows", "[]"),
        "spans_are_closed": broken("speech_spans", "[0.5]"),
        "spans_go_forwards": broken("speech_spans", "[1.0, 0.5]"),
        "tagger_is_named": broken("tagger", "NULL"),
    },
    "flag": {
        "flags_say_why": broken("why", "NULL"),
        "only_what_is_flagged_is_listed": broken("outcome", "'failed'"),
        "flagged_clips_were_tagged": broken("sample_id", "'0123456789abcdef0123'"),
    },
    "separate": {
        "residuals_have_samples": broken("n_samples", "0"),
        "residuals_are_as_long_as_the_clip": broken("rate_hz", "44100"),
        "speech_is_not_negative": broken("speech_s", "-1"),
        "what_was_removed_is_the_difference": broken("removed_db", "14"),
        "nothing_passes_full_scale": broken("residual_rms_dbfs", "3, removed_db = mixture_rms_dbfs - 3"),
        "separator_is_named": broken("separator", "NULL"),
        "residuals_are_named_by_content": broken("residual_sha256", "'abc'"),
        "residuals_have_bytes": broken("residual_bytes", "0"),
    },
    "rescore": {
        "z_is_there": broken("z", "NULL"),
        "scores_are_finite": broken("z", "'inf'::double"),
        "the_null_has_width": broken("null_std", "0"),
        "z_is_the_score_against_the_null": broken("z", "z + 0.1"),
        "one_model": broken("model", "'another'"),
        "model_is_named": broken("model", "NULL"),
        "speech_is_a_score": broken("speech", "90"),
        "music_is_a_score": broken("music", "-0.1"),
    },
    "mix": {
        "a_clip_is_not_mixed_with_itself": broken("clip2_sample_id", "clip1_sample_id", "mix"),
        "mixtures_have_length": broken("duration_s", "0, n_samples = 0", "mix"),
        "length_is_there": broken("duration_s", "NULL", "mix"),
        "pictures_are_there": broken("video_packets", "0", "mix"),
        "sound_is_as_long_as_the_picture": broken("n_samples", "n_samples - 2", "mix"),
        "padding_is_not_negative": broken("clip2_left_out_s", "-0.1", "mix"),
        "padding_fits": broken("clip2_padded_s", "duration_s + 0.1", "mix"),
        "a_sum_is_no_louder_than_its_parts": broken("sum_peak_dbfs", "1", "mix"),
        "rms_is_no_higher_than_peak": broken("clip1_rms_dbfs", "clip1_peak_dbfs + 0.1", "mix"),
        "nothing_is_made_louder": broken("gain_db", "0.5, peak_guarded = true", "mix"),
        "the_guard_is_told": broken("gain_db", "-2", "mix"),
        "clipping_is_counted": broken("clipped_samples", "-1", "mix"),
        "media_is_named_by_content": broken("media_sha256", "'abc'", "mix"),
        "media_has_bytes": broken("media_bytes", "0", "mix"),
    },
}

RELEASE = {
    "fct_clips": {
        "sample_id_is_there": spoilt("fct_clips", "sample_id", "NULL"),
        "sample_id_is_unique": "INSERT INTO fct_clips (SELECT * FROM fct_clips LIMIT 1)",
        "sample_id_has_its_form": spoilt("fct_clips", "sample_id", "upper(sample_id) || 'X'"),
        "video_is_there": spoilt("fct_clips", "video_id", "NULL"),
        "status_is_known": spoilt("fct_clips", "status", "'liked'"),
        "status_is_there": spoilt("fct_clips", "status", "NULL"),
        "dropped_clips_name_their_rule": spoilt("fct_clips", "first_failed_rule", "NULL", "status = 'dropped'"),
        "kept_clips_have_a_split": spoilt("fct_clips", "split", "NULL", "status = 'kept'"),
        "split_is_known": spoilt("fct_clips", "split", "'training'", "status = 'kept'"),
        "kept_clips_have_a_score": spoilt("fct_clips", "z", "NULL", "status = 'kept'"),
        "length_is_positive": spoilt("fct_clips", "end_ms", "start_ms"),
        "z_is_plausible": spoilt("fct_clips", "z", "1e6"),
        "silence_is_a_ratio": spoilt("fct_clips", "silence_ratio", "1.5"),
        "stillness_is_a_ratio": spoilt("fct_clips", "stillness", "-1"),
        "blackness_is_a_ratio": spoilt("fct_clips", "black_ratio", "2"),
    },
    "splits": {
        "something_is_published": "DELETE FROM splits",
        "sample_id_is_unique": "INSERT INTO splits (SELECT * FROM splits LIMIT 1)",
        "sample_id_is_there": spoilt("splits", "sample_id", "NULL"),
        "split_is_there": spoilt("splits", "split", "NULL"),
        "split_is_known": spoilt("splits", "split", "'training'"),
        "group_is_there": spoilt("splits", "group_id", "NULL"),
    },
    "leaks": {
        "nothing_stands_in_two_splits": """UPDATE splits SET split = if(split = 'train', 'test', 'train')
            WHERE sample_id = (SELECT min(sample_id) FROM splits WHERE video_id IN
                (SELECT video_id FROM splits GROUP BY 1 HAVING count(*) > 1))"""
    },
    "moved": {"no_clip_changes_split": spoilt("ops.rpt_changes", "change", "'moved', split_before = 'val'")},
    "scorer_quality": {
        "no_scorer_decides_by_chance": NEAR_CHANCE,
        "an_override_says_why": NEAR_CHANCE + "; UPDATE rpt_scorers SET trusted_because = ' '",
    },
    "passed": {"kept_clips_pass_every_threshold": spoilt("fct_clips", "effective_z", "1.5", "status = 'kept'")},
    "thresholds": {
        "thresholds_are_there": "DELETE FROM thresholds",
        "rule_is_unique": spoilt("thresholds", "rule", "'silent'"),
        "value_is_there": spoilt("thresholds", "value", "NULL"),
        "comparison_is_known": spoilt("thresholds", "op", "'=<'"),
        "reason_is_there": spoilt("thresholds", "reason", "NULL"),
        "source_is_there": spoilt("thresholds", "source", "NULL"),
    },
    "unlisted": {"every_rule_is_published": spoilt("fct_clips", "first_failed_rule", "'mood'", "status = 'dropped'")},
    "fct_candidates": {
        "candidate_is_there": spoilt("fct_candidates", "candidate_id", "NULL"),
        "candidate_is_unique": "INSERT INTO fct_candidates (SELECT * FROM fct_candidates LIMIT 1)",
        "status_is_known": spoilt("fct_candidates", "status", "'lost'"),
        "what_gave_no_clip_says_why": spoilt("fct_candidates", "reason", "NULL", "status = 'failed'"),
    },
    "fct_outcomes": {
        "end_is_unique": "INSERT INTO fct_outcomes (SELECT * FROM fct_outcomes LIMIT 1)",
        "status_is_known": spoilt("fct_outcomes", "status", "'lost'"),
        "what_was_not_kept_says_why": spoilt("fct_outcomes", "reason", "NULL", "status = 'dropped'"),
    },
    "dim_videos": {
        "video_is_unique": "INSERT INTO dim_videos (SELECT * FROM dim_videos LIMIT 1)",
        "video_is_there": spoilt("dim_videos", "video_id", "NULL"),
        "no_more_kept_than_cut": spoilt("dim_videos", "clips_kept", "clips + 1"),
        "split_is_known": spoilt("dim_videos", "split", "'training'"),
    },
    "rpt_statistics": {
        "clips_times_mean_is_hours": spoilt("rpt_statistics", "mean_duration_s", "mean_duration_s * 1.01"),
        "clip_hours_are_their_milliseconds": spoilt("rpt_statistics", "clip_hours", "clip_hours + 0.001"),
        "unique_hours_are_their_milliseconds": spoilt("rpt_statistics", "unique_hours", "unique_hours + 0.001"),
        "no_more_videos_than_clips": spoilt("rpt_statistics", "videos", "clips + 1"),
        "no_more_unique_than_clip_hours": spoilt("rpt_statistics", "unique_ms", "clip_ms + 1"),
        "parts_are_not_empty": spoilt("rpt_statistics", "clips", "0"),
        "scope_is_known": spoilt("rpt_statistics", "scope", "'some'"),
    },
    "totals": {"sums_agree": spoilt("rpt_statistics", "clips", "clips + 1", "scope = 'split'")},
    "rpt_funnel": {
        "nothing_is_unexplained": spoilt("rpt_funnel", "unexplained", "1"),
        "steps_join": spoilt("rpt_funnel", "passed", "passed + 1"),
        "counts_are_counts": spoilt("rpt_funnel", "failed", "-1"),
        "unexplained_is_there": spoilt("rpt_funnel", "unexplained", "NULL"),
    },
    "rpt_scores": {
        "the_threshold_is_in_it": spoilt("rpt_scores", "threshold", "NULL"),
        "bins_are_not_empty": spoilt("rpt_scores", "clips", "0"),
    },
}

#: One statement of `totals` each: a sum that two tables must agree on, and what breaks it.
SUMS = {
    "statistics, clips: splits": spoilt("rpt_statistics", "clips", "clips + 1", "scope = 'split'"),
    "statistics, videos: splits": spoilt("rpt_statistics", "videos", "videos + 1", "scope = 'split'"),
    "statistics, clip_ms: splits": spoilt("rpt_statistics", "clip_ms", "clip_ms + 1", "scope = 'split'"),
    "statistics, unique_ms: splits": spoilt("rpt_statistics", "unique_ms", "unique_ms + 1", "scope = 'split'"),
    "statistics, clips: labels": spoilt("rpt_statistics", "clips", "clips + 1", "scope = 'label'"),
    "statistics, clip_ms: labels": spoilt("rpt_statistics", "clip_ms", "clip_ms + 1", "scope = 'label'"),
    "statistics, clips: as many": "DELETE FROM splits WHERE rowid = 0",
    "statistics, clip_ms: the sum": spoilt("fct_clips", "end_ms", "end_ms + 1", "status = 'kept'"),
    "statistics, videos: as many": spoilt("dim_videos", "clips_kept", "0", "clips_kept > 0"),
    "splits: as many": spoilt("fct_clips", "status", "'dropped'", "status = 'kept'"),
    "dim_videos: its clips": spoilt("dim_videos", "clips", "clips + 1"),
    "funnel: what it releases": spoilt("rpt_funnel", "passed", "passed + 1", "step = 'release'"),
    "funnel: what comes in": spoilt("rpt_funnel", "items_in", "items_in + 1", "step = 'ingest'"),
    "reasons: they count": spoilt("rpt_reasons", "items", "items + 1"),
    "removed: one first": spoilt("fct_removed", "is_first", "NOT is_first"),
    "removed: its clips": "DELETE FROM removed_clips WHERE rowid = 0",
    "scores: every clip": spoilt("rpt_scores", "clips", "clips + 1", "measure = 'z'"),
}


#: Two mixtures and what was made of them, as no batch of candidates has them.
MIXTURES = {
    "mixtures": [
        {"sample_id": f"{n}" * 20, "outcome": "ok", "clip1_sample_id": "a" * 20, "clip2_sample_id": "b" * 20}
        for n in (1, 2)
    ],
    "mix": [
        {
            "sample_id": f"{n}" * 20,
            "outcome": "ok",
            "clip1_sample_id": "a" * 20,
            "clip2_sample_id": "b" * 20,
            "duration_s": 5.0,
            "video_packets": 125,
            "rate_hz": 16_000,
            "n_samples": 80_000,
            "clip1_rms_dbfs": -20.0,
            "clip1_peak_dbfs": -8.0,
            "clip1_padded_s": 0.0,
            "clip1_left_out_s": 0.02,
            "clip2_rms_dbfs": -22.0,
            "clip2_peak_dbfs": -9.0,
            "clip2_padded_s": 1.5,
            "clip2_left_out_s": 0.0,
            "sum_rms_dbfs": -18.0,
            "sum_peak_dbfs": -4.0,
            "peak_guarded": False,
            "gain_db": 0.0,
            "clipped_samples": 0,
            "media_sha256": "0" * 64,
            "media_bytes": 9000,
        }
        for n in (1, 2)
    ],
}
