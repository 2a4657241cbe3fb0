from __future__ import annotations

import os
import signal
from typing import Any
from unittest import mock

import pytest
from django.core.exceptions import ImproperlyConfigured

from ajo.lib import chaos


def test_nothing_happens_unless_it_is_asked_for() -> None:
    assert chaos._faults == {}
    chaos.point("after_fence")


def test_a_point_kills_its_own_process(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.DEBUG = True
    monkeypatch.setattr(chaos, "_faults", chaos._parse("after_fence:1:kill,after_send:0:kill"))
    with mock.patch("os.kill", autospec=True) as kill:
        chaos.point("after_fence")
        chaos.point("after_send")
    kill.assert_called_once_with(os.getpid(), signal.SIGKILL)


def test_a_point_delays(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.DEBUG = True
    monkeypatch.setattr(chaos, "_faults", chaos._parse("after_send:1:sleep=2.5"))
    with mock.patch("time.sleep", autospec=True) as sleep:
        chaos.point("after_fence")
        chaos.point("after_send")
    sleep.assert_called_once_with(2.5)


def test_it_refuses_to_run_in_production(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.DEBUG = False
    monkeypatch.setattr(chaos, "_faults", chaos._parse("after_send:1:kill"))
    with pytest.raises(ImproperlyConfigured, match="kills processes on purpose"):
        chaos.point("after_send")


def test_a_wrong_setting_is_said() -> None:
    with pytest.raises(ImproperlyConfigured, match="point:probability:kill"):
        chaos._parse("after_send")
