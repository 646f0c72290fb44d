"""What goes out of the parts of an XLSX, and what makes it refused. No I/O.

Standard: ECMA-376 part 1, 18 (SpreadsheetML). A sheet, row or column that is hidden and holds something is refused: the
formulas of what is seen may depend on it, so it can neither stay nor go.
"""

import re

from media.confined.child import Refusal
from media.confined.office_xml import Element, elements, local, parse, remove, remove_where, serialise

_WORKBOOK = frozenset(
    "fileVersion fileSharing revisionPtr absPath customWorkbookViews webPublishing fileRecoveryPr smartTagPr "
    "smartTagTypes webPublishObjects workbookProtection oleSize pivotCaches externalReferences".split()
)
_SHEET = frozenset(
    "scenarios customSheetViews smartTags webPublishItems legacyDrawing legacyDrawingHF customProperties "
    "sheetProtection protectedRanges cellWatches".split()
)
_TRUE = frozenset({"1", "true"})
_FORMULAS = frozenset({"f", "formula", "formula1", "formula2"})
_FETCHES = re.compile(
    r"(?:^|[^A-Z0-9_])(?:WEBSERVICE|IMAGE|RTD|STOCKHISTORY)\s*\(|\[[^\]]*\.(?:xl\w{1,3}|ods|csv)\]|^\s*\w+\|[^\"]*!",
    re.I,
)
"""Functions that open an address, and what lies in another file or comes from another program."""
_TOLD_TO_WHO_TYPES = frozenset({"prompt", "promptTitle", "error", "errorTitle"})
_NOTHING_SHOWN = re.compile(r';{2,3}|(?:"\s*";?){1,4}')
_CONTAINERS = frozenset({"hyperlinks", "tableParts", "drawings", "AlternateContent", "extLst", "ext"})


def clean_workbook(root: Element) -> None:
    """Clean the list of sheets. Raises: Refusal `hidden-data` for a hidden sheet."""
    if any(local(each.tag) == "sheet" and each.get("state", "visible") != "visible" for each in elements(root)):
        raise Refusal("hidden-data")
    remove_where(root, lambda each: local(each.tag) in _WORKBOOK)
    for each in elements(root):
        if local(each.tag) == "workbookPr" and "codeName" in each.attrib:
            del each.attrib["codeName"]
        if local(each.tag) == "definedName" and each.get("comment") is not None:
            del each.attrib["comment"]
    _remove_empty(root)


def clean_sheet(root: Element) -> None:
    """Clean one sheet. Raises: Refusal `hidden-data`."""
    hidden = [
        (int(each.get("min", "0")), int(each.get("max", "0")))
        for each in elements(root)
        if local(each.tag) == "col" and (each.get("hidden") in _TRUE or _is_nothing(each.get("width")))
    ]
    for cell in (each for each in elements(root) if local(each.tag) == "c" and len(each)):
        row = cell.getparent()
        column = _column(cell.get("r", ""))
        shut = row is not None and (row.get("hidden") in _TRUE or _is_nothing(row.get("ht")))
        if shut or any(low <= column <= high for low, high in hidden):
            raise Refusal("hidden-data")
    remove_where(root, lambda each: local(each.tag) in _SHEET)
    for each in elements(root):
        if local(each.tag) in _FORMULAS and _FETCHES.search(each.text or ""):
            raise Refusal("external-data")
        if local(each.tag) == "dataValidation":
            for name in _TOLD_TO_WHO_TYPES & set(each.attrib):
                del each.attrib[name]
        if local(each.tag) == "sheetPr" and "codeName" in each.attrib:
            del each.attrib["codeName"]
    _remove_empty(root)


def check_formats(parts: dict[str, bytes]) -> None:
    """Find that no cell holds what its format does not show. Raises: Refusal `hidden-data`."""
    styles = elements(parse(parts["xl/styles.xml"])) if parts.get("xl/styles.xml") else []
    empty = {
        each.get("numFmtId")
        for each in styles
        if local(each.tag) == "numFmt" and _NOTHING_SHOWN.fullmatch(each.get("formatCode", ""))
    }
    if not empty:
        return
    formats = [each for group in styles if local(group.tag) == "cellXfs" for each in group]
    unseen = {str(number) for number, each in enumerate(formats) if each.get("numFmtId") in empty}
    for name, content in parts.items():
        if name.startswith("xl/worksheets/"):
            if any(
                local(each.tag) == "c" and len(each) and each.get("s") in unseen for each in elements(parse(content))
            ):
                raise Refusal("hidden-data")


def clean_shared_strings(parts: dict[str, bytes]) -> bytes:
    """Empty the texts that no cell uses any more: they are what was typed once and deleted."""
    used: set[str] = set()
    for name, content in parts.items():
        if name.startswith("xl/worksheets/"):
            for cell in elements(parse(content)):
                if local(cell.tag) == "c" and cell.get("t") == "s":
                    used.update(each.text for each in cell if local(each.tag) == "v")
    root = parse(parts["xl/sharedStrings.xml"])
    for number, entry in enumerate(each for each in root if local(str(each.tag)) == "si"):
        if str(number) not in used:
            for each in list(entry):
                entry.remove(each)
    return serialise(root)


def _is_nothing(size: str | None) -> bool:
    return size is not None and re.fullmatch(r"0*\.?0*", size) is not None


def _column(reference: str) -> int:
    number = 0
    for letter in (re.match(r"[A-Z]{1,3}", reference) or [""])[0]:
        number = number * 26 + ord(letter) - 64
    return number


def _remove_empty(root: Element) -> None:
    """An empty container is a damaged file to the programs that read it."""
    for each in reversed(elements(root)):
        if local(each.tag) in _CONTAINERS | {"Choice"} and not len(each) and each is not root:
            remove(each)
