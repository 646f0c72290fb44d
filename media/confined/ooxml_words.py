"""What goes out of the parts of a DOCX, and how tracked changes are accepted. No I/O.

Standard: ECMA-376 part 1, 17 (WordprocessingML): revisions 17.13.5, fields 17.16, settings 17.15.
"""

import re
from collections.abc import Mapping

from media.confined.child import Refusal
from media.confined.office_xml import Element, elements, local, parse, remove, remove_where, unwrap, within

_UNWRAPPED = frozenset({"ins", "moveTo", "smartTag", "customXml", "sdtContent", "sdt"})
_REMOVED = frozenset(
    "rsid rsids nsid tmpl proofErr permStart permEnd commentRangeStart commentRangeEnd commentReference annotationRef "
    "moveFrom moveFromRangeStart moveFromRangeEnd moveToRangeStart moveToRangeEnd rPrChange pPrChange sectPrChange "
    "tblPrChange tcPrChange trPrChange tblGridChange numberingChange tblPrExChange customXmlInsRangeStart "
    "customXmlInsRangeEnd customXmlDelRangeStart customXmlDelRangeEnd customXmlMoveFromRangeStart smartTagPr "
    "customXmlMoveFromRangeEnd customXmlMoveToRangeStart customXmlMoveToRangeEnd sdtPr sdtEndPr customXmlPr "
    "delText delInstrText divId docPart tblCaption tblDescription".split()
)
_CELL_CHANGES = frozenset({"cellIns", "cellDel", "cellMerge"})
_KEPT_FIELDS = frozenset(
    "PAGE NUMPAGES SECTIONPAGES TOC HYPERLINK REF PAGEREF NOTEREF STYLEREF SEQ SECTION FORMTEXT FORMCHECKBOX "
    "FORMDROPDOWN SYMBOL EQ LISTNUM TA TOA".split()
)
_KEPT_SETTINGS = frozenset(
    "zoom mirrorMargins alignBordersAndEdges bordersDoNotSurroundHeader bordersDoNotSurroundFooter gutterAtTop "
    "defaultTabStop autoHyphenation consecutiveHyphenLimit hyphenationZone doNotHyphenateCaps evenAndOddHeaders "
    "bookFoldRevPrinting bookFoldPrinting bookFoldPrintingSheets drawingGridHorizontalSpacing "
    "drawingGridVerticalSpacing displayHorizontalDrawingGridEvery displayVerticalDrawingGridEvery "
    "characterSpacingControl noLineBreaksAfter noLineBreaksBefore footnotePr endnotePr compat mathPr themeFontLang "
    "clrSchemeMapping decimalSymbol listSeparator embedTrueTypeFonts saveSubsetFonts strictFirstAndLastChars "
    "noPunctuationKerning printTwoOnOne displayBackgroundShape defaultTableStyle".split()
)
_OFF = frozenset({"0", "false", "off"})
_GOES_TO = re.compile(r"HYPERLINK\s++(?!\\)\"?+(?!(https?|mailto|tel):)\S", re.I)
"""A link out of the document that is not open to all."""


def clean_settings(root: Element) -> None:
    """Keep what decides how the pages look; rsids, document ids, protection, templates and mail merge go."""
    for each in list(root):
        if local(each.tag) not in _KEPT_SETTINGS:
            root.remove(each)


def hiding_styles(members: Mapping[str, bytes]) -> frozenset[str]:
    """Give the names of styles whose text is hidden, by themselves or by what they are based on."""
    hiding: dict[str, bool] = {}
    based: dict[str, str] = {}
    for part in ("word/styles.xml", "word/stylesWithEffects.xml"):
        for style in elements(parse(members[part])) if members.get(part) else ():
            if local(style.tag) == "style":
                name = _values(style).get("styleId", "")
                based[name] = next((_values(each).get("val", "") for each in style if local(each.tag) == "basedOn"), "")
                for each in (each for inner in style if local(inner.tag) == "rPr" for each in inner):
                    if local(each.tag) == "vanish":
                        hiding[name] = _is_on(each, "vanish")
    for name in based:
        above = name
        for _ in range(len(based)):
            if above in hiding:
                break
            above = based.get(above, "")
        hiding.setdefault(name, hiding.get(above, False))
    return frozenset(name for name, hides in hiding.items() if hides)


def clean_words(root: Element, hiding: frozenset[str]) -> None:
    """Clean a body, a header, notes, styles or numbering; `hiding` are styles that do.

    Raises: Refusal `tracked-changes`, `hidden-data`.
    """
    _freeze_fields(root)
    _accept_deletions(root)
    remove_where(root, lambda each: local(each.tag) in _REMOVED)
    _remove_hidden_runs(root, hiding)
    _remove_unused_marks(root)
    for each in elements(root):
        if local(each.tag) in _UNWRAPPED and each is not root and within(each, root):
            if local(_above(each).tag) in ("rPr", "trPr"):
                remove(each)
            else:
                unwrap(each)
    remove_where(root, lambda each: local(each.tag) == "r" and _is_spent(each))


def _above(element: Element) -> Element:
    above = element.getparent()
    if above is None:
        raise Refusal("damaged")
    return above


def _accept_deletions(root: Element) -> None:
    for each in elements(root):
        name = local(each.tag)
        if name in _CELL_CHANGES:
            raise Refusal("tracked-changes")
        if name not in ("del", "moveFrom") or not within(each, root):
            continue
        above = _above(each)
        if local(above.tag) == "trPr":
            remove(_above(above))
        elif local(above.tag) == "rPr":
            _accept_deleted_paragraph_mark(each)
        else:
            remove(each)


def _accept_deleted_paragraph_mark(mark: Element) -> None:
    """A paragraph whose end was deleted runs on into the next; only where nothing is left in it is that simple."""
    paragraph = mark
    while local(paragraph.tag) != "p":
        paragraph = _above(paragraph)
    gone = ("pPr", "del", "moveFrom", "bookmarkStart", "bookmarkEnd", "proofErr", "moveFromRangeStart")
    if any(local(each.tag) not in (*gone, "moveFromRangeEnd") for each in paragraph):
        raise Refusal("tracked-changes")
    remove(paragraph)


def _remove_hidden_runs(root: Element, hiding: frozenset[str]) -> None:
    """Text that is formatted as hidden is seen by nobody. Where a style of a whole paragraph or table hides, more than
    its text may hang on it."""
    for each in elements(root):
        if local(each.tag) in ("pStyle", "tblStyle") and _values(each).get("val") in hiding:
            raise Refusal("hidden-data")
    for run in [each for each in elements(root) if local(each.tag) == "r"]:
        told = [each for properties in run if local(properties.tag) == "rPr" for each in properties]
        own = [_is_on(each, "vanish") for each in told if local(each.tag) == "vanish"]
        styled = any(local(each.tag) == "rStyle" and _values(each).get("val") in hiding for each in told)
        if own[0] if own else styled:
            if not any(local(each.tag) in ("fldChar", "instrText") for each in run):
                remove(run)


def _values(element: Element) -> dict[str, str]:
    return {local(str(key)): str(value) for key, value in element.attrib.items()}


def _is_on(element: Element, name: str) -> bool:
    return local(element.tag) == name and _values(element).get("val", "1") not in _OFF


def _is_spent(run: Element) -> bool:
    """A run that held nothing but the mark of a comment is empty now."""
    return not run.text and all(local(each.tag) == "rPr" for each in run) and len(run) > 0


def _freeze_fields(root: Element) -> None:
    """Turn fields that name files, people or sources into the text that they show."""
    for each in elements(root):
        if local(each.tag) == "fldSimple" and not _field_stays(_instruction(each)):
            unwrap(each)
    open_fields: list[tuple[list[Element], list[str]]] = []
    for each in elements(root):
        match local(each.tag):
            case "fldChar":
                values = _values(each)
                if values.get("fldCharType") == "begin":
                    open_fields.append(([], []))
                if not open_fields:
                    raise Refusal("damaged")
                open_fields[-1][0].append(each)
                if values.get("fldCharType") == "end":
                    marks, words = open_fields.pop()
                    if not _field_stays("".join(words)):
                        for mark in marks:
                            remove(mark)
            case "instrText" | "delInstrText" if open_fields:
                open_fields[-1][0].append(each)
                open_fields[-1][1].append(each.text or "")
            case "instrText":
                remove(each)  # An instruction outside every field instructs nobody.
            case _:
                continue


def _remove_unused_marks(root: Element) -> None:
    """A mark that no link and no field of this part goes to has a name that nobody sees."""
    used = {str(value) for each in elements(root) for key, value in each.attrib.items() if local(str(key)) == "anchor"}
    words = {word for each in elements(root) if local(each.tag) == "instrText" for word in (each.text or "").split()}
    words |= {word for each in elements(root) if local(each.tag) == "fldSimple" for word in _instruction(each).split()}
    kept = set[str]()
    for each in elements(root):
        if local(each.tag) == "bookmarkStart":
            values = _values(each)
            if values.get("name", "") in used | words | {word.strip('"') for word in words}:
                kept.add(values.get("id", ""))
            else:
                remove(each)
    for each in elements(root):
        values = _values(each)
        if local(each.tag) == "bookmarkEnd" and values.get("id", "") not in kept:
            remove(each)


def _instruction(field: Element) -> str:
    return next((str(value) for key, value in field.attrib.items() if local(str(key)) == "instr"), "")


def _field_stays(instruction: str) -> bool:
    word = (instruction.split() or [""])[0].upper()
    return word in _KEPT_FIELDS and not _GOES_TO.match(instruction.strip())
