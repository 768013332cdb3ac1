"""A bad setting stops the start and is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.settings import BadSetting, load_settings

GOOD = {"HEARTH_DATABASE_URL": "postgresql://u:p@db/hearth", "HEARTH_SECRET_KEY": "0123456789abcdef"}

BAD = [
    ("HEARTH_DATABASE_URL", "mysql://u@h/d"),
    ("HEARTH_DATABASE_URL", "nonsense"),
    ("HEARTH_SECRET_KEY", "short"),
    ("HEARTH_SECRET_KEY", "0123456789abcdef,short"),
    ("HEARTH_SECRET_KEY", ""),
    ("HEARTH_PUBLIC_URL", "mail.example.com"),
    ("HEARTH_PUBLIC_URL", "javascript:alert(1)"),
    ("HEARTH_PUBLIC_URL", "https://example.com/?a=b"),
    ("HEARTH_SMTP_URL", "http://mail"),
    ("HEARTH_SMTP_URL", "smtp://"),
    ("HEARTH_MAIL_FROM", "nobody"),
    ("HEARTH_MAIL_FROM", "A <a@example.com>\r\nBcc: all@example.com"),
    ("HEARTH_TIMEZONE", "Shanghai"),
    ("HEARTH_TIMEZONE", "../../etc/passwd"),
    ("HEARTH_CURRENCY", "RMB"),
    ("HEARTH_COUNTRY", "China"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_bad_setting_is_named(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=f"^{name}: "):
        load_settings({**GOOD, name: value}, env_file=tmp_path / "none")


def test_defaults_and_env_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# ours\nexport HEARTH_CURRENCY='EUR'\nHEARTH_COUNTRY=DE\n\n")
    settings = load_settings({"HEARTH_COUNTRY": "AT", "HOME": "/"}, env_file=file)
    assert (settings.currency, settings.country, settings.timezone) == ("EUR", "AT", "Asia/Shanghai")
    assert settings.embedded
    assert settings.data_dir.is_absolute()
    file.write_text("HEARTH_CURRENCY\n")
    with pytest.raises(BadSetting, match="line 1"):
        load_settings({}, env_file=file)
