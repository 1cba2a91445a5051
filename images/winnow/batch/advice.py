"""Advice: what somebody can do about a sample that came to nothing, for each reason; '' where nothing is to be done."""

from __future__ import annotations

from winnow.core.sample import OURS, TRANSIENT, Reason

_LATER = "it may pass: winnow curate --batch {batch} --retry-reasons {reason}"
_ANEW = "then winnow curate --batch {batch}"
_DO = {
    Reason.bad_row: "mend the row in its list, " + _ANEW,
    Reason.missing_url: "give the row an address, an id or a file, " + _ANEW,
    Reason.bad_url: "write the address out (https://…), or a YouTube id, " + _ANEW,
    Reason.bad_time: "write s, ms, h:mm:ss, or say `unit` in <list>.toml, " + _ANEW,
    Reason.duplicate_row: "",
    Reason.gone: "",
    Reason.forbidden: "the site wants an account: fetch the file yourself and lay it in the inbox, " + _ANEW,
    Reason.throttled: "lower WINNOW_FETCH_RATE, then winnow curate --batch {batch} --retry-reasons {reason}",
    Reason.not_media: "look at the address: what came from it is no media",
    Reason.too_large: "raise the limit that is named, " + _ANEW,
    Reason.blocked_address: "allow its network by WINNOW_FETCH_ALLOW_NETWORKS if it is yours, " + _ANEW,
    Reason.blocked_scheme: "give an http or https address, or lay the file in the inbox, " + _ANEW,
    Reason.missing_file: "lay the file where the list says, " + _ANEW,
    Reason.unsupported_site: "a newer yt-dlp may know the site; or lay the file in the inbox, " + _ANEW,
    Reason.over_limit: "fetch the file yourself, or winnow retry --batch {batch} --reason {reason}",
    Reason.no_video_stream: "",
    Reason.no_audio_stream: "",
    Reason.undecodable: "get another copy of the file, " + _ANEW,
    Reason.outside_media: "mend the row's times: the video is shorter",
    Reason.empty_clip: "mend the row's times: no picture stands there",
    Reason.no_input: "see the step before it",
    Reason.taken_down: "",
    Reason.internal_error: "a fault of Winnow or of this machine: mend it, then winnow retry --batch {batch} --reason "
    "{reason}",
    Reason.killed: "give the step more memory, then winnow retry --batch {batch} --reason {reason}",
}


def advice(reason: str, batch: str) -> str:
    """What to do about rows of a batch that failed for a reason, with the command; '' where nothing helps. A reason of
    `decide` is a rule of thresholds.csv, and nothing went wrong."""
    try:
        known = Reason(reason)
    except ValueError:
        return ""
    told = _DO.get(known)
    if told is None:
        assert known in TRANSIENT - OURS, known
        told = _LATER
    return told.format(batch=batch, reason=reason)
