from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from tests.api.support import client_with


@pytest.fixture
def api(db: None) -> APIClient:
    """A client whose key may do everything."""
    return client_with()
