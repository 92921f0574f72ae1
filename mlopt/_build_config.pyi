from typing import Any

BUILD_CONFIG: dict[str, Any]
