"""Which keys a cleaned PDF may hold, place by place; everything else goes. No I/O.

Standard: ISO 32000-1 and 32000-2: catalog 7.7.2, page 7.7.3.3, images 8.9.5, forms 8.10.2, annotations 12.5, actions
12.6. Left out on purpose: `StructTreeRoot` (its alternative texts often hold the names of files that nobody sees),
`VP` and `Measure` (they hold places), the names of places to go to (links go there themselves) and of pages, `Lang`,
`PieceInfo`, `Metadata`, `AF`, `ActualText` that does not say what the letters
beside it say (`pdf_shown_text.py`).
"""


def _keys(names: str) -> frozenset[str]:
    return frozenset(f"/{name}" for name in names.split())


CATALOG = _keys("Type Version Pages ViewerPreferences PageLayout PageMode Outlines AcroForm")
CATALOG |= _keys("OutputIntents")
ACRO_FORM = _keys("Fields NeedAppearances DR DA Q")
PAGE = _keys(
    "Type Parent Resources MediaBox CropBox BleedBox TrimBox ArtBox Rotate Contents Group Annots UserUnit Tabs"
)
PAGES = PAGE | _keys("Kids Count")
CONTENTS = _keys("Filter DecodeParms Length")
PROPERTIES = _keys("Type MCID")
LAYERS = _keys("OCG OCMD")
IMAGE = _keys("Type Subtype Width Height ColorSpace BitsPerComponent Intent ImageMask Mask Decode Interpolate SMask")
IMAGE |= _keys("SMaskInData Matte Name Filter DecodeParms Length")
INLINE_IMAGE = IMAGE | _keys("W H CS BPC IM D I F DP L")
FORM = _keys("Type Subtype FormType BBox Matrix Resources Group Name Filter DecodeParms Length")
OUTPUT_INTENT = _keys("Type S OutputConditionIdentifier DestOutputProfile")
VIEWER = _keys("HideToolbar HideMenubar FitWindow CenterWindow DisplayDocTitle Direction PrintScaling Duplex NumCopies")
OUTLINE = _keys("Type Title Parent Prev Next First Last Count Dest A C F")

_ANNOTATION = _keys("Type Subtype Rect P F AP AS Border C CA ca BS BE BM QuadPoints")
_FIELD = _keys("FT T V DA Ff Kids Parent MK H Opt MaxLen Q I TI A")
_MARKUP = _keys("InkList L LE IC Vertices RD Name Sy LL LLE LLO Cap CP CO")
ANNOTATIONS = {
    "/Link": _ANNOTATION | _keys("A Dest H"),
    "/Widget": _ANNOTATION | _FIELD,
    "/FreeText": _ANNOTATION | _MARKUP | _keys("Contents DA DS Q CL IT"),
    **dict.fromkeys(
        _keys("Text Line Square Circle Polygon PolyLine Highlight Underline Squiggly StrikeOut Stamp Caret Ink")
        | _keys("PrinterMark Watermark"),
        _ANNOTATION | _MARKUP,
    ),
}
FIELD_ONLY = _FIELD
APPEARANCE = _keys("N")
NOT_DRAWN = _keys("Contents DS")
"""Words of an annotation that nobody sees where its appearance is drawn."""
REMOVED_ANNOTATIONS = _keys("Popup TrapNet")
MEDIA_ANNOTATIONS = _keys("FileAttachment Sound Movie Screen RichMedia 3D Projection")

EVERYWHERE = _keys(
    "Metadata PieceInfo LastModified Thumb AA AF JS OPI Measure VP LGIDict PtData Usage Alternates StructParent "
    "StructParents OC Lang SeparationInfo WebCaptureInfo SpiderInfo IDS URLS ID PZ DPM DSS Perms Legal Collection XFA "
    "EmbeddedFiles JavaScript Renditions AlternatePresentations EF RF"
)
"""Taken from every dictionary, wherever it lies. `ID` is Web Capture's there; the trailer's own is made anew."""

WORDED = _keys(
    "URI Title Contents T V DA CA DS Registry Ordering FontFamily CharSet Panose OutputConditionIdentifier ActualText "
    "D Dest"
)
"""What may be a text: no other key of a dictionary has one that a viewer shows or needs."""
RESOURCES = _keys("Font XObject ExtGState ColorSpace Pattern Shading Properties ProcSet")

KEPT_ACTIONS = _keys("GoTo URI Named")
ACTION = _keys("Type S D URI N Next")
KEPT_SCHEMES = ("http://", "https://", "mailto:", "tel:")
