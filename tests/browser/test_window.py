"""All tests share one Chromium; each has a window that knows nothing of the others'."""

from __future__ import annotations

from tests.browser.conftest import window

NARROW = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": False}
DARK = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}


def test_a_window_knows_nothing_of_the_one_before(chromium) -> None:
    with window(chromium) as first:
        first.execute_cdp_cmd("Network.setCookie", {"name": "who", "value": "Ann", "url": "http://127.0.0.1/"})
        first.execute_cdp_cmd("Emulation.setEmulatedMedia", DARK)
        first.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", NARROW)
        first.get("data:text/html,<script>console.error('it failed')</script>")
        looks = "return [innerWidth, matchMedia('(prefers-color-scheme: dark)').matches]"
        assert first.execute_script(looks) == [390, True]
        assert len(first.execute_cdp_cmd("Network.getAllCookies", {})["cookies"]) == 1
        first.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    with window(chromium) as second:
        assert second.execute_cdp_cmd("Network.getAllCookies", {})["cookies"] == []
        assert second.get_log("browser") == []
        second.get("data:text/html,<script>document.title = 'it runs'</script>")
        assert second.title == "it runs"
        width, dark = second.execute_script(looks)
        assert width > 390
        assert not dark
        asked = [entry["message"] for entry in second.get_log("performance") if "requestWillBeSent" in entry["message"]]
        assert not any("failed" in message for message in asked)
