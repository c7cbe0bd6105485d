"""Templates that do not end, or differ, are found in another process."""

import pytest

from fineline.chat.check import check_template
from fineline.errors import InputError

ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.fixture
def base(tiny_base, tmp_path):
    for file in tiny_base.iterdir():
        if file.suffix in (".json", ".jinja"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def put(base, template):
    (base / "chat_template.jinja").write_text(template)


def test_a_template_that_renders_is_fine(base):
    assert check_template(base) is None


def test_a_template_that_does_not_end_is_refused(base):
    put(base, ENDLESS)
    with pytest.raises(InputError, match="does not end within 5 seconds"):
        check_template(base, seconds=5)


def test_a_template_that_refuses_a_conversation_is_reported(base):
    put(base, "{{ raise_exception('not today') }}")
    assert "not today" in (check_template(base) or "")
