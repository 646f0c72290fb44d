"""Signs of how a file came about: names, marks, sizes and programs, each with whose they are. No I/O.

They are what files from known routes were seen to bear. A name is anybody's to give, so it only ever makes a grade
likely; a size alone likewise.
"""

import re

# What each program calls the files that it saves or sends, matched against the whole name.
MESSENGER_NAMES = (
    ("WhatsApp", re.compile(r"(?:IMG|VID|AUD|PTT|STK)-\d{8}-WA\d{4,}.*", re.I)),
    ("WhatsApp", re.compile(r"WhatsApp (?:Image|Video|Audio|Ptt) \d{4}-\d\d-\d\d at .*", re.I)),
    ("Telegram", re.compile(r"(?:photo|video|audio)_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d.*|telegram-cloud-.*", re.I)),
    ("Telegram", re.compile(r"(?:photo|video)_\d+@\d\d-\d\d-\d{4}_\d\d-\d\d-\d\d.*", re.I)),
    ("Signal", re.compile(r"signal-\d{4}-\d\d-\d\d-\d+.*|signal-attachment-.*", re.I)),
    ("Facebook Messenger", re.compile(r"received_\d{10,}.*|(?:FB_IMG|fb_img)_\d{10,}.*|messenger_.*", re.I)),
    ("Viber", re.compile(r"viber_image_.*|viber image .*|0-02-0[0-9a-f]-[0-9a-f]{40,}.*", re.I)),
    ("WeChat", re.compile(r"mmexport\d{10,}.*|wx_camera_\d{10,}.*|microMsg\.\d+.*", re.I)),
    ("Snapchat", re.compile(r"Snapchat-\d{6,}.*", re.I)),
    ("LINE", re.compile(r"LINE_(?:ALBUM|MOVIE)_.*", re.I)),
    ("KakaoTalk", re.compile(r"KakaoTalk_(?:Photo|Video|Audio)?_?\d{8}_.*", re.I)),
)  # fmt: skip
SCREEN_NAMES = (
    ("a program that captures a screen", re.compile(r"Screen[ _-]?(?:shot|record|capture|cast).*", re.I)),
    ("Android's screen recorder", re.compile(r"screen-\d{8}-\d{6}.*|SVID_\d{8}_\d{6}.*|XRecorder_.*", re.I)),
    ("iOS's screen recorder", re.compile(r"RPReplay[_ ]?Final.*|ScreenRecording[_ ]\d\d-\d\d-\d{4}.*", re.I)),
    ("OBS, a screen recorder", re.compile(r"\d{4}-\d\d-\d\d[ _]\d\d-\d\d-\d\d\.(?:mkv|mp4|flv|mov)", re.I)),
)  # fmt: skip
DOWNLOAD_NAMES = (
    ("a download program", re.compile(r".*\[[A-Za-z0-9_-]{11}\]\.(?:mp4|webm|mkv|m4a)", re.I)),
    ("a download service", re.compile(r".*(?:y2mate|snaptik|ssstik|savefrom|ytdl|videoplayback).*", re.I)),
)

# Fields in which programs put their own names; a text that a person may have written is not among them.
PROGRAM_FIELDS = frozenset(
    {
        "Software", "CreatorTool", "HistorySoftwareAgent", "ProcessingSoftware", "Encoder", "EncodingSettings",
        "EncoderSettings", "WritingApp", "MuxingApp", "WriterLibrary", "EncodedBy", "EncodingTool", "EncoderTool",
        "HandlerDescription", "HandlerVendorID", "VendorID", "CompressorName", "XMPToolkit", "WriterName", "Vendor",
        "ApplicationName", "ProductVersion", "Tool", "Creator",
    }
)  # fmt: skip
# Fields, besides, in which services and recorders leave their marks.
MARK_FIELDS = PROGRAM_FIELDS | {
    "Comment", "Author", "Title", "Description", "UserComment", "SpecialInstructions", "Publisher", "Artist", "PURL",
    "URL", "Keywords", "Information",
}  # fmt: skip
FFMPEG_HANDLERS = frozenset({"VideoHandler", "SoundHandler", "SubtitleHandler", "DataHandler"})
_EDITORS = (
    "photoshop", "lightroom", "gimp", "snapseed", "picasa", "picsart", "vsco", "affinity", "paint.net", "capture one",
    "darktable", "rawtherapee", "digikam", "acdsee", "canva", "pixelmator", "polarr", "facetune", "photoscape",
    "capture editor", "photopro", "viewnx", "photo pro", "capture nx", "irfanview", "xnview", "paintshop", "corel",
    "krita", "photofiltre", "microsoft windows photo", "windows photo editor", "instagram", "facetune", "remini",
    "picmonkey", "fotor", "premiere", "after effects", "davinci", "blackmagic", "final cut", "imovie", "kinemaster",
    "inshot", "capcut", "lvmuxer", "videoleap", "filmora", "wondershare", "vegas", "shotcut", "kdenlive", "openshot",
    "olive", "avidemux", "losslesscut", "powerdirector", "vn video", "youcut", "clipchamp", "camtasia", "splice",
    "movavi", "audacity", "adobe audition", "mp3splt", "mkvmerge", "mp4box", "gpac", "pitivi", "adobe media encoder",
    "image editor", "photomechanic", "photo mechanic", "pscs", "luminar", "dxo", "on1 photo", "topaz", "exiftool",
)  # fmt: skip
_ENCODERS = (
    "lavf", "lavc", "x264", "x265", "handbrake", "ffmpeg", "mencoder", "mplayer", "vlc", "libwebm", "nero", "lame",
    "gstreamer", "media foundation", "imagemagick", "graphicsmagick", "compressed by",
    "cloudinary", "zencoder", "transloadit", "vork muxer", "mainconcept", "hdvideo", "freemake", "any video converter",
    "jvt/avc coding", "itunes", "xvid", "divx", "gd-jpeg", "jpegmini", "mozjpeg",
)  # fmt: skip
_ON_ITS_OWN = r"(?<![a-z])"
EDITORS = re.compile(_ON_ITS_OWN + "(?:" + "|".join(map(re.escape, _EDITORS)) + ")", re.I)
ENCODERS = re.compile(_ON_ITS_OWN + "(?:" + "|".join(map(re.escape, _ENCODERS)) + ")", re.I)
SERVICES = (
    ("YouTube or Google", re.compile(r"produced by Google", re.I)),
    ("Facebook or Instagram", re.compile(r"^FBMD[0-9a-f]{8}")),
    ("TikTok", re.compile(r"^vid:[0-9a-z]{10,}|tiktok|bytedance", re.I)),
    ("Twitter", re.compile(r"twitter", re.I)),
    ("Vimeo", re.compile(r"vimeo", re.I)),
    ("Bilibili", re.compile(r"bilibili", re.I)),
    ("a download program", re.compile(r"yt-dlp|youtube-dl|\byoutube\.com/|youtu\.be/", re.I)),
)
SCREEN_MARKS = re.compile(
    r"ReplayKit|^Screenshot$|screen ?record|screencast|screen capture|simplescreenrecorder|obs[- ]studio", re.I
)

# To what each messenger scales the longer side of what it sends.
MESSENGER_SIDES = {1600: "WhatsApp", 1280: "Telegram", 2048: "Facebook Messenger and Signal", 960: "Facebook Messenger"}
MESSENGER_QUALITIES = range(55, 93)

# Screens of phones, longer side by shorter side; no camera has these formats.
PHONE_SCREENS = frozenset(
    {
        (2532, 1170), (2556, 1179), (2778, 1284), (2796, 1290), (2436, 1125), (2688, 1242), (1792, 828), (2622, 1206),
        (2868, 1320), (1334, 750), (2208, 1242), (1136, 640), (1920, 886), (1920, 884), (1920, 888), (1920, 864),
        (2160, 1080), (2220, 1080), (2240, 1080), (2246, 1080), (2280, 1080), (2310, 1080), (2312, 1080), (2316, 1080),
        (2340, 1080), (2376, 1080), (2388, 1080), (2400, 1080), (2408, 1080), (2412, 1080), (2424, 1080), (2460, 1080),
        (2520, 1080), (1520, 720), (1560, 720), (1600, 720), (1612, 720), (1640, 720), (1650, 720), (2960, 1440),
        (3040, 1440), (3088, 1440), (3120, 1440), (3168, 1440), (3200, 1440), (3216, 1440), (2992, 1344), (2388, 1668),
        (2732, 2048), (2360, 1640), (2266, 1488), (2160, 1620),
    }
)  # fmt: skip

# These cameras have compression tables of their own; the common library's in their files are a program's.
OWN_TABLES = (
    "apple", "canon", "nikon", "sony", "fujifilm", "olympus", "om digital", "panasonic", "pentax", "casio", "leica",
    "sigma", "ricoh",
)  # fmt: skip
