"""What begins like a mail is not always one: no line that somebody wrote is lost, and no mail passes as a mere text."""

import pytest

from archive.errors import InputError
from archive.types import Audience
from media.preview_parts import Part
from media.ranges import BytesRanges
from media.workbench import Workbench
from tests.media.cleaned import cleaned, left_in

NOTE = b"""From: Maria L.
Date: Friday 20 Nov 2026, about 6 am
Subject: raid at 6th and Alvarado
Place: 6th St and Alvarado, by the bakery
Vehicles: white Ford Explorer, plate 8ABC123
Agents: four, masked, one with badge 4471

They took two men. No warrant was shown.
"""
PASTED = b"""From: Ana Ruiz
Sent: Friday, November 20, 2026 6:04 AM
To: Luis Ortega
Subject: FW: the white van
Importance: High

It came back.
"""
LETTER = """Message-ID: <77@laptop.example>
Received: from [10.0.0.7] by mx.example; Fri, 20 Nov 2026 06:04:01 -0800
From: "Ortega, Luis" <luis@example.org>
To: =?utf-8?q?Mar=C3=ADa?= <m@example.org>, Ana <ana@example.org>
Cc: desk@example.org
Date: Fri, 20 Nov 2026 06:04:00 -0800
Subject: =?utf-8?b?RWwgY2FtacOzbiBibGFuY28=?=
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

It came back.
""".replace("\n", "\r\n").encode()


def words_of(workbench: Workbench, content: bytes) -> str:
    source = BytesRanges(content)
    made = next(iter(workbench.previews(source, workbench.examine(source))))
    assert isinstance(made, Part)
    return made.content.decode()


@pytest.mark.parametrize("audience", [Audience.COURT, Audience.PRESS])
@pytest.mark.parametrize("note", [NOTE, PASTED], ids=["typed", "pasted"])
def test_a_note_that_begins_like_a_mail_keeps_every_line(workbench: Workbench, note: bytes, audience: Audience) -> None:
    assert cleaned(workbench, note, audience)[1] == note
    assert words_of(workbench, note) == note.decode()


def test_a_mail_says_after_cleaning_what_it_said_before(workbench: Workbench) -> None:
    verdict, copy = cleaned(workbench, LETTER)
    assert verdict.mime_type == "message/rfc822"
    assert left_in(copy, ["10.0.0.7", "laptop"]) == []
    shown = words_of(workbench, copy)
    assert "Cc: desk@example.org" in shown and "It came back." in shown
    assert sorted(shown.splitlines()) == sorted(words_of(workbench, LETTER).splitlines())
    assert "Subject: El camión blanco" in shown and "María <m@example.org>" in shown


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        (b"Subject:", b"Place: 6th St and Alvarado\r\nSubject:"),
        (b"Fri, 20 Nov 2026 06:04:00 -0800", b"Friday 20 Nov 2026, about 6 am"),
        (b"Cc: desk@example.org", b"Cc: desk@example.org\r\nCc: other@example.org"),
        (b"Cc: desk@example.org", b"Cc: desk@example.org (only the night desk)"),
    ],
    ids=["a line that no mail has", "a date in words", "a second line", "a remark in an address"],
)
def test_a_mail_of_which_a_written_line_would_be_lost_is_refused(
    workbench: Workbench, line: bytes, instead: bytes
) -> None:
    assert line in LETTER
    letter = LETTER.replace(line, instead, 1)
    with pytest.raises(InputError, match="a line at its head"):
        cleaned(workbench, letter)
    written = instead.splitlines()[0].decode()
    assert written in words_of(workbench, letter), "whoever looks at it sees what was written"


@pytest.mark.parametrize(
    "line", ["X-Originating-IP: [10.0.0.7]", "Received: from [10.0.0.7] by mx; Fri", "Message-ID: <1@l>"]
)
def test_a_mail_without_a_date_does_not_pass_as_a_mere_text(workbench: Workbench, line: str) -> None:
    source = BytesRanges(f"{line}\r\nFrom: a@example.org\r\nSubject: van\r\n\r\nwords\r\n".encode())
    assert workbench.examine(source).format.mime_type == "message/rfc822"


def test_a_mail_behind_empty_lines_keeps_no_line_of_its_way(workbench: Workbench) -> None:
    for before in (b"\r\n\r\n", b"\xef\xbb\xbf"):
        _, copy = cleaned(workbench, before + LETTER)
        assert left_in(copy, ["10.0.0.7", "laptop", "It came back."]) == ["It came back."]


def test_a_folder_of_mails_is_refused(workbench: Workbench) -> None:
    folder = b"From luis Fri Nov 20 06:04:00 2026\r\n" + LETTER
    assert left_in(cleaned(workbench, folder)[1], ["10.0.0.7"]) == []
    with pytest.raises(InputError, match="a whole folder of mails"):
        cleaned(workbench, folder + b"\r\n" + folder)


@pytest.mark.parametrize(
    "line", ["References: <77@laptop.example>", "List-Id: a <laptop.example>", "Authentication-Results: laptop.example"]
)
def test_a_mail_is_known_by_any_line_that_only_programs_write(workbench: Workbench, line: str) -> None:
    head = "From: Ana <ana@x.example>\nDate: Fri, 20 Nov 2026 06:04:00 -0800\nSubject: news\n"
    _, copy = cleaned(workbench, f"{head}{line}\n\nIt came back.\n".encode())
    assert left_in(copy, ["laptop", "It came back."]) == ["It came back."]


@pytest.mark.parametrize(
    "words",
    ["hello\u200c\u200dworld", "hello\ufe01\ufe02", "a\u3164b", "hello\ufeffworld", "a\u180eb", "plain\u00ad \u00ad"],
)
def test_characters_that_mark_a_copy_are_refused_in_texts_and_mails(workbench: Workbench, words: str) -> None:
    for content in (words.encode(), LETTER + words.encode()):
        with pytest.raises(InputError, match="characters that nobody sees"):
            cleaned(workbench, content)


def test_characters_that_a_language_needs_stay(workbench: Workbench) -> None:
    words = "می\u200cخواهم നിന്\u200d ക്ഷ 👨\u200d👩\u200d👧 ❤\ufe0f\u200d🔥 1\ufe0f\u20e3 Sil\u00adbe".encode()
    assert cleaned(workbench, words)[1] == words


def test_a_rich_text_keeps_no_link_to_a_file(workbench: Workbench) -> None:
    field = r'{\field{\*\fldinst HYPERLINK "%s"}{\fldrslt here}}'
    text = r"{\rtf1\ansi " + field % "file:///C:/NEEDLE01" + field % "https://example.org/" + "}"
    _, copy = cleaned(workbench, text.encode())
    assert left_in(copy, ["NEEDLE01", "https://example.org/", "here"]) == ["https://example.org/", "here"]
