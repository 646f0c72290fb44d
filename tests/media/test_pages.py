"""A page's copy calls home to nobody and holds nothing that is not shown; what is seen stays, or is named."""

from email import message_from_bytes, policy

import pytest

from archive.errors import InputError
from archive.types import Audience
from media.workbench import Workbench
from tests.media.cleaned import cleaned, left_in

NEEDLES = [f"NEEDLE{number:02}" for number in range(1, 40)]
PAGE = """<!DOCTYPE html><html><head><meta charset=utf-8><title>Post</title><base href="https://x.example/NEEDLE01">
<meta http-equiv=refresh content="9;url=https://x.example/NEEDLE02"><meta name=user content=NEEDLE03>
<link rel=icon href="https://x.example/NEEDLE04"><script src="https://x.example/NEEDLE05"></script>
<style>/* NEEDLE06 */ @import "https://x.example/NEEDLE07"; .gone{display:none}
.red{color:red;background:url(https://x.example/NEEDLE08)}</style></head>
<body background="https://x.example/NEEDLE09"><h1 class="red NEEDLE10" id=NEEDLE11 data-user=NEEDLE12>Post</h1>
<form action="/post?actor=NEEDLE13"><input type=hidden name=actor value=NEEDLE14>
<input name=NEEDLE15 value="shown words">
<button formaction="/NEEDLE16" value=NEEDLE17>Send</button></form>
<div hidden>NEEDLE18</div><div style="display:none">NEEDLE19</div><p class=gone>NEEDLE20</p><dialog>NEEDLE21</dialog>
<p aria-label=NEEDLE22 title=NEEDLE23 onclick="f('NEEDLE24')" style="color:blue;background:u\\72l(#a)">Hello</p>
<img src="https://x.example/p.gif?uid=NEEDLE25" width=1 height=1>
<a href="https://x.example/?u=NEEDLE26" ping="https://x.example/NEEDLE27">here</a>
<a href="https://example.org/news">https://example.org/news</a> <!-- NEEDLE28 -->
<svg><title>NEEDLE29</title><use xlink:href="https://x.example/NEEDLE30"></use>
<rect fill="url(https://x.example/NEEDLE31)" width="9" height="9"></rect></svg></body></html>""".replace(
    "u\\72l(#a)", "none"
)
SEEN = ["shown words", "Send", "Hello", "here", "https://example.org/news", "color:red", "color:blue", ">Post</h1>"]
DRAWING = b"""<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="9" height="9">
<style>.x{fill:url(https://x.example/NEEDLE01)} .y{display:none}</style><text display="none">NEEDLE02</text>
<text style="visibility:hidden">NEEDLE03</text><text class="y">NEEDLE04</text>
<a xlink:href="https://x.example/NEEDLE05"><text x="1" y="5">van</text></a><use href="https://x.example/NEEDLE06"/>
<use href="#p"/><path id="p" d="M0 0h9v9z" style="fill:url(https://x.example/NEEDLE07)" data-u="NEEDLE08"/></svg>"""


def test_a_page_for_the_press_fetches_from_nobody_and_keeps_what_is_seen(workbench: Workbench) -> None:
    verdict, copy = cleaned(workbench, PAGE.encode())
    assert left_in(copy, [*NEEDLES, "x.example"]) == []
    assert [words for words in SEEN if words not in copy.decode()] == []
    said = "; ".join(verdict.parts_gone)
    for words in ("hidden fields of a form (identity)", "parts that are not shown (document)", "too small to be seen"):
        assert words in said
    assert verdict.values()["parts_gone"] == list(verdict.parts_gone)


def test_a_court_gets_no_page_without_what_it_shows_from_elsewhere(workbench: Workbench) -> None:
    page = b'<!DOCTYPE html><html><body><p>Van</p><img src="van.jpg" alt="The van" width="300"></body></html>'
    verdict, copy = cleaned(workbench, page)
    assert b"[picture not in this file: The van]" in copy
    assert verdict.parts_gone == ("1 x a picture that lies elsewhere (transport)",)
    with pytest.raises(InputError, match="it shows what it fetches from elsewhere"):
        cleaned(workbench, page, Audience.COURT)


def test_a_mail_tells_nobody_that_it_was_opened(workbench: Workbench) -> None:
    letter = (
        "From: Ana <ana@x.example>\r\nTo: luis@y.example\r\nDate: Fri, 20 Nov 2026 06:04:00 -0800\r\nSubject: news\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body><p>Hello</p>"
        '<div style="display:none;max-height:0">NEEDLE01</div><img src="https://t.example/o?u=NEEDLE02" width="1">'
        '<a href="https://c.example/?u=NEEDLE03">here</a></body></html>'
    )
    verdict, copy = cleaned(workbench, letter.encode())
    body = message_from_bytes(copy, policy=policy.default).get_content()
    assert left_in(body.encode(), [*NEEDLES, "t.example", "c.example"]) == []
    assert "<p>Hello</p>" in body and '<a href="#">here</a>' in body
    assert len(verdict.parts_gone) == 3


def test_a_drawing_fetches_from_nobody_and_hides_nothing(workbench: Workbench) -> None:
    verdict, copy = cleaned(workbench, DRAWING)
    assert left_in(copy, [*NEEDLES, "x.example"]) == []
    assert b">van</text>" in copy and b'd="M0 0h9v9z"' in copy and b'href="#p"' in copy
    assert "3 x parts that are not shown (document)" in verdict.parts_gone


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (".a{display:none} .a.on{display:block}", "it holds what nobody sees"),
        (".menu > .a{display:none}", "it holds what nobody sees"),
        (".a:not(.b){display:none}", "it holds what nobody sees"),
        ("@media screen{.a{display:none}}", "it holds what nobody sees"),
        (".a{background:u\\72l(https://x.example)}", "it shows what it fetches from elsewhere"),
        (".a{background:url( data:image/png;base64,AA)}", "it holds another file or a picture"),
    ],
)
def test_a_page_whose_style_cannot_be_told_is_refused(page: str, reason: str, workbench: Workbench) -> None:
    whole = f'<!DOCTYPE html><html><head><style>{page}</style></head><body><p class="a on">Van</p></body></html>'
    with pytest.raises(InputError, match=reason):
        cleaned(workbench, whole.encode())


def test_what_a_style_hides_only_from_some_stays(workbench: Workbench) -> None:
    page = (
        b"<!DOCTYPE html><html><head><style>@media (max-width:9px){.a{display:none}} .b:hover{opacity:0}</style></head>"
        b'<body><p class="a">Van</p><p class="b">Plate</p></body></html>'
    )
    copy = cleaned(workbench, page)[1]
    assert b'<p class="a">Van</p>' in copy and b'<p class="b">Plate</p>' in copy


@pytest.mark.parametrize(
    "style",
    [
        "d\\69splay:none",
        "position:absolute;clip:rect(1px,1px,1px,1px)",
        "clip-path:inset(50%)",
        "height:0;overflow:hidden",
        "width:1px;height:1px;overflow:hidden",
        "mso-hide:all",
        "transform:scale(0)",
        "margin-left:-9999px",
        "position:absolute;left:-500vw",
        "content-visibility:hidden",
        "color:rgba(0,0,0,0)",
        "font:0/0 a",
        "font-size:1px",
    ],
)
@pytest.mark.parametrize("by", ["itself", "a sheet"])
def test_words_that_a_style_takes_out_of_sight_go(workbench: Workbench, style: str, by: str) -> None:
    own, sheet = (f' style="{style}"', "") if by == "itself" else ("", f"<style>.a{{{style}}}</style>")
    page = f"<!DOCTYPE html><html><head>{sheet}</head><body><p>Hello</p><div class=a{own}>NEEDLE01</div></body></html>"
    _, copy = cleaned(workbench, page.encode())
    assert left_in(copy, ["NEEDLE01", "Hello"]) == ["Hello"]


@pytest.mark.parametrize(
    "page",
    [
        '<table><tr><td style="font-size:0px"><div style="font-size:16px">shown words</div></td></tr></table>',
        '<div style="font-size:0"><font size=3>shown words</font></div>',
        '<div style="position:relative;height:0;overflow:hidden;padding-bottom:56%"><p>shown words</p></div>',
        '<h1 style="background:linear-gradient(red,blue);background-clip:text;color:transparent">shown words</h1>',
        '<div style="height:1px;overflow:hidden;background:#ccc">shown words</div>',
        '<p style="font:1em/1 a;color:#fa0;opacity:.9;border-color:transparent;left:-9px">shown words</p>',
    ],
    ids=["a mail's table", "a font's size", "a film's frame", "a gradient", "a line", "much style"],
)
def test_words_that_only_seem_hidden_stay(workbench: Workbench, page: str) -> None:
    _, copy = cleaned(workbench, f"<!DOCTYPE html><html><body>{page}</body></html>".encode(), Audience.COURT)
    assert b"shown words" in copy


def test_words_of_which_some_are_shown_again_refuse_a_page(workbench: Workbench) -> None:
    page = b'<!DOCTYPE html><html><body><p style="font-size:0">gone<b style="font-size:9px">shown</b></p></body></html>'
    with pytest.raises(InputError, match="it holds what nobody sees"):
        cleaned(workbench, page)


def test_attributes_and_rules_say_nothing_that_is_not_shown(workbench: Workbench) -> None:
    sheet = '.user-NEEDLE01{color:red} p,#NEEDLE02 b{color:red} [data-u="NEEDLE03"]{color:red}'
    page = (
        f"<!DOCTYPE html><html><head><style>{sheet}</style></head><body><noframes>NEEDLE04</noframes>"
        '<p lang="NEEDLE05" alt="NEEDLE06" placeholder="NEEDLE07" start="NEEDLE08" align="left" checked="NEEDLE09">'
        "<svg><a><set attributeName='href' to='https://x.example/NEEDLE10'></set><path id='NEEDLE11'></path></a></svg>"
        "<math><annotation>NEEDLE12</annotation></math></p><input placeholder='shown words'></body></html>"
    )
    _, copy = cleaned(workbench, page.encode())
    assert left_in(copy, [*NEEDLES, "x.example"]) == []
    for shown in (b'align="left"', b"shown words", b"p{color:red}"):
        assert shown in copy


def test_a_drawing_keeps_no_names_of_its_layers(workbench: Workbench) -> None:
    drawing = (
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><style>.NEEDLE01{fill:red} .kept{fill:blue}'
        b'</style><g id="NEEDLE02" class="NEEDLE03 kept" name="NEEDLE04" lang="NEEDLE05"><path id="p" d="M0 0h9"/></g>'
        b'<use href="#p"><set attributeName="href" to="https://x.example/NEEDLE06"/></use></svg>'
    )
    _, copy = cleaned(workbench, drawing)
    assert left_in(copy, [*NEEDLES, "x.example"]) == []
    assert b'class="kept"' in copy and b'href="#p"' in copy and b".kept{fill:blue}" in copy


@pytest.mark.parametrize(
    "attribute", ['display="none"', 'visibility="hidden"', 'opacity="0"', 'font-size="0"', 'transform="scale(0)"']
)
def test_a_drawing_in_a_page_hides_nothing_by_attributes_that_stand_for_a_style(
    workbench: Workbench, attribute: str
) -> None:
    page = (
        f"<!DOCTYPE html><html><body><p {attribute}>Van</p>"
        f'<svg width="9" height="9"><text {attribute}>NEEDLE01</text><text>Plate</text></svg></body></html>'
    )
    _, copy = cleaned(workbench, page.encode())
    assert left_in(copy, ["NEEDLE01", "Van", "Plate"]) == ["Van", "Plate"]
