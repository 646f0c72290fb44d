"""The words in which a document that cannot be cleaned is refused. No I/O."""

from archive.errors import InputError

_SENTENCES = {
    "attachments": "it has files attached. Save each, and have it cleaned by itself.",
    "cropped": "it shows only a part of a picture or page that it holds whole. Cut off what is not to be seen for good "
    "(office programs call it compressing pictures), or print it to PDF.",
    "damaged": "it is damaged, or not built as its format demands, so that nothing can be said for what is in it.",
    "damaged-image": "a picture inside it is damaged.",
    "embedded-metadata": "something inside it holds metadata in a place where they cannot be taken out safely.",
    "embedded-object": "it holds another file or a picture that cannot be cleaned inside it.",
    "encrypted": "it is protected by a password or encrypted. Save a copy without protection first.",
    "external-data": "it shows what it fetches from elsewhere. Save a copy in which that is fixed first.",
    "external-file": "a part of it lies in another file.",
    "hidden-data": "it holds what nobody sees (hidden sheets, rows, text, slides, or the data behind a pivot table), "
    "which what is seen may depend on. Remove it, or print it to PDF.",
    "hidden-form-value": "it is a form with something filled in where nobody sees it. Clear that field, or print it to "
    "PDF.",
    "hidden-layers": "it has layers that are switched off. Flatten it, or print it to PDF.",
    "linked-picture": "a picture in it lies elsewhere and is only linked. Put it into the document first.",
    "macros": "it holds programs (macros).",
    "mail-lines": "a line at its head (from, to, copy, date, subject, or one that no mail has) would be changed or "
    "lost. Put its words into a plain text, or print it to PDF.",
    "markup": "it is marked-up text of a kind that is not known here, which may hold more than it shows.",
    "media-inside": "its pages hold sound, film or attached files.",
    "not-text": "it is called a text but holds bytes that are none.",
    "scripts": "it holds scripts.",
    "several-mails": "it is a whole folder of mails. Save each, and have it cleaned by itself.",
    "signed": "it carries a digital signature, which cleaning would break.",
    "source-notes": "it is the source of a program or of a page's style, whose notes name people and times.",
    "too-complex": "it is too large or too deeply nested to be cleaned within the limits.",
    "too-large": "it is too large to be cleaned.",
    "tracked-changes": "it holds tracked changes that only a person can decide on. Accept or reject them first.",
    "unknown-annotation": "it holds marks of a kind that is not known here.",
    "unknown-part": "it holds a part of a kind that is not known here.",
    "unseen-characters": "it holds characters that nobody sees, which can mark a copy.",
    "value-in-text": "what its properties say (a name, a title) also stands in what it shows. Redact it there, or let "
    "a copy with these properties through.",
    "xfa-form": "it is a form of a kind (XFA) that only one program shows.",
    "xml-entities": "it defines entities of its own, which an honest document never does.",
}


def refuse(reason: str) -> InputError:
    """Make the refusal for a child's one word; a word that is not known tells nothing of the file."""
    sentence = _SENTENCES.get(reason, "a tool gave no reason that is known here.")
    return InputError(
        "media/cannot-clean",
        f"This document cannot be cleaned: {sentence} The original is kept as it is.",
        evidence={"reason": reason if reason in _SENTENCES else "unknown"},
    )
