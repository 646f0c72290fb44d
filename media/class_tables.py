"""Which field of which standard belongs to which class of metadata: the tables. No I/O.

A field is let through as RENDERING or STRUCTURE only by its exact family and name; every other class may be told by a
pattern, because a field that is wrongly called personal is merely stripped. Names are ExifTool's.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from media.metadata_classes import MetadataClass


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


RENDERING: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "HTML": _names("Title"),  # the browser shows it
        "EXIF": _names(
            "Orientation ColorSpace YCbCrPositioning YCbCrSubSampling YCbCrCoefficients ReferenceBlackWhite "
            "WhitePoint PrimaryChromaticities XResolution YResolution ResolutionUnit Gamma TransferFunction "
            "ImageWidth ImageHeight ExifImageWidth ExifImageHeight BitsPerSample PhotometricInterpretation "
            "SamplesPerPixel ExtraSamples SampleFormat ColorMap Predictor InkSet DotRange NumberOfInks "
            "MinSampleValue MaxSampleValue SMinSampleValue SMaxSampleValue GrayResponseUnit GrayResponseCurve "
            "FillOrder"
        ),
        "JFIF": _names("JFIFVersion ResolutionUnit XResolution YResolution"),
        "APP14": _names("DCTEncodeVersion APP14Flags0 APP14Flags1 ColorTransform"),
        "File": _names(
            "ImageWidth ImageHeight BitsPerSample ColorComponents YCbCrSubSampling EncodingProcess "
            "ImageLength ColorTransform BitDepth NumColors NumImportantColors PixelsPerMeterX PixelsPerMeterY Planes "
            "RedMask GreenMask BlueMask AlphaMask ColorSpace RedEndpoint GreenEndpoint BlueEndpoint GammaRed "
            "GammaGreen GammaBlue RenderingIntent"
        ),
        "PNG": _names(
            "ImageWidth ImageHeight BitDepth ColorType Compression Filter Interlace Gamma WhitePointX "
            "WhitePointY RedX RedY GreenX GreenY BlueX BlueY SRGBRendering PixelsPerUnitX PixelsPerUnitY "
            "PixelUnits Palette Transparency BackgroundColor SignificantBits AnimationFrames AnimationPlays "
            "PaletteHistogram ColorPrimaries TransferCharacteristics MatrixCoefficients VideoFullRangeFlag"
        ),
        "GIF": _names(
            "ImageWidth ImageHeight HasColorMap ColorResolutionDepth BitsPerPixel BackgroundColor "
            "PixelAspectRatio AnimationIterations FrameCount Duration TransparentColor"
        ),
        "RIFF": _names(
            "ImageWidth ImageHeight HorizontalScale VerticalScale AlphaIsUsed AlphaPreprocessing AlphaFiltering "
            "AlphaCompression BackgroundColor AnimationLoopCount FrameCount Duration NumChannels SampleRate "
            "AvgBytesPerSec BitsPerSample FrameRate StreamCount VideoFrameRate VideoFrameCount AudioSampleRate "
            "AudioSampleCount SampleSize Quality TotalFrameCount StreamType BitDepth NumColors "
            "NumImportantColors PixelsPerMeterX PixelsPerMeterY Planes Compression NumberOfSamples"
        ),
        "Jpeg2000": _names(
            "ImageWidth ImageHeight NumberOfComponents BitsPerComponent Compression ColorSpecMethod "
            "ColorSpecPrecedence ColorSpecApproximation ColorSpace ColorSpaceData CaptureXResolution "
            "CaptureYResolution CaptureXResolutionUnit CaptureYResolutionUnit DisplayXResolution "
            "DisplayYResolution DisplayXResolutionUnit DisplayYResolutionUnit"
        ),
        "QuickTime": _names(
            "ImageWidth ImageHeight ImageSpatialExtent ImagePixelDepth Rotation Mirroring CleanAperture "
            "ColorProfiles ColorPrimaries TransferCharacteristics MatrixCoefficients VideoFullRangeFlag "
            "ChromaFormat BitDepthLuma BitDepthChroma PixelAspectRatio MatrixStructure SourceImageWidth "
            "SourceImageHeight XResolution YResolution BitDepth VideoFrameRate AudioChannels AudioBitsPerSample "
            "AudioSampleRate AudioFormat CompressorID GraphicsMode OpColor Balance TrackVolume PreferredRate "
            "PreferredVolume CleanApertureDimensions ProductionApertureDimensions EncodedPixelsDimensions "
            "ColorRepresentation AuxiliaryImageType Endianness AudioChannelTypes NumChannelDescriptions"
        ),
        "Matroska": _names(
            "ImageWidth ImageHeight DisplayWidth DisplayHeight DisplayUnit AspectRatioType CropTop CropBottom "
            "CropLeft CropRight AudioChannels AudioSampleRate OutputSamplingFrequency AudioBitsPerSample "
            "VideoFrameRate VideoScanType VideoCodecID AudioCodecID CodecID StereoMode AlphaMode ColorSpace"
        ),
        "FLAC": _names(
            "BlockSizeMin BlockSizeMax FrameSizeMin FrameSizeMax SampleRate Channels BitsPerSample TotalSamples"
        ),
        "Vorbis": _names("VorbisVersion AudioChannels SampleRate NominalBitrate MaximumBitrate MinimumBitrate"),
        "Opus": _names("OpusVersion AudioChannels SampleRate OutputGain"),
        "Theora": _names(
            "TheoraVersion ImageWidth ImageHeight XOffset YOffset FrameRate PixelAspectRatio ColorSpace "
            "NominalVideoBitrate Quality PixelFormat"
        ),
        "MPEG": _names(
            "MPEGAudioVersion AudioLayer AudioBitrate SampleRate ChannelMode MSStereo IntensityStereo Emphasis "
            "CopyrightFlag OriginalMedia ImageWidth ImageHeight AspectRatio FrameRate VideoBitrate"
        ),
        "AAC": _names("ProfileType SampleRate Channels"),
        "AIFF": _names(
            "NumChannels NumSampleFrames SampleSize SampleRate CompressionType CompressorName FormatVersionTime"
        ),
        "H264": _names("ImageWidth ImageHeight"),
    }
)
"""What a file needs to be shown or heard as it was, by family."""

STRUCTURE: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "ExifTool": _names("ExifToolVersion Warning Error"),
        "File": _names(
            "FileType FileTypeExtension MIMEType ExifByteOrder FileSize MIMEEncoding ByteOrderMark Newlines "
            "LineCount WordCount Compression ID3Size CurrentIPTCDigest BMPVersion ImageLength"
        ),
        "EXIF": _names(
            "Compression StripOffsets StripByteCounts RowsPerStrip TileWidth TileLength TileOffsets "
            "TileByteCounts PlanarConfiguration SubfileType OldSubfileType ExifVersion FlashpixVersion "
            "ComponentsConfiguration InteropIndex InteropVersion JPEGTables T4Options T6Options FreeOffsets "
            "FreeByteCounts PageNumber"
        ),
        "GIF": _names("GIFVersion"),
        "RIFF": _names(
            "WebP_Flags VP8Version Encoding VideoCodec AudioCodec MaxDataRate Padding Unknown_JUNK Unknown_vprp"
        ),
        "Jpeg2000": _names("MajorBrand MinorVersion CompatibleBrands"),
        "QuickTime": _names(
            "MajorBrand MinorVersion CompatibleBrands HandlerType HandlerClass HandlerDescription "
            "PrimaryItemReference MetaImageSize MediaDataSize MediaDataOffset MediaData "
            "HEVCConfigurationVersion GeneralProfileSpace GeneralTierFlag GeneralProfileIDC "
            "GenProfileCompatibilityFlags ConstraintIndicatorFlags GeneralLevelIDC MinSpatialSegmentationIDC "
            "ParallelismType AverageFrameRate ConstantFrameRate NumTemporalLayers TemporalIDNested "
            "AV1ConfigurationVersion SeqProfile SeqLevelIdx0 SeqTier0 HighBitDepth TwelveBit ChromaSubsamplingX "
            "ChromaSubsamplingY ChromaSamplePosition InitialDelaySamples MovieHeaderVersion TimeScale Duration "
            "NextTrackID CurrentTime PosterTime PreviewTime PreviewDuration SelectionTime SelectionDuration "
            "TrackHeaderVersion TrackID TrackDuration TrackLayer MediaHeaderVersion MediaTimeScale "
            "MediaDuration TimeToSampleTable SyncSampleTable SampleToChunk SampleSizes ChunkOffset "
            "ChunkOffset64 CompositionTimeToSample CompositionToDecodeTimelineMapping "
            "IdependentAndDisposableSamples SampleTable AVCConfiguration HEVCConfiguration Unknown_esds "
            "Unknown_hvcC MovieFragmentSequence InitialObjectDescriptor BufferSize MaxBitrate AverageBitrate "
            "SampleGroupDescription SampleToGroup PixelInformation Free Wide LayoutFlags "
            "PurchaseFileFormat Unknown_av1C Unknown_btrt VideoFieldOrder"
        ),
        "Matroska": _names(
            "EBMLVersion EBMLReadVersion DocType DocTypeVersion DocTypeReadVersion TimecodeScale Duration "
            "TrackNumber TrackType TrackUsed TrackDefault TrackForced TrackLacing CodecPrivate CodecDecodeAll "
            "DefaultDuration MinCache MaxCache MaxBlockAdditionID TrackTimecodeScale SeekID SeekPosition "
            "CodecDelay SeekPreRoll Void CRC-32 CueClusterPosition CueTime CueTrack EBMLMaxIDLength EBMLMaxSizeLength "
            "Matroska_0x0070 Matroska_0x15b0 Matroska_0x16aa Matroska_0x16bb TrackLanguage"
        ),
        "FLAC": _names("MD5Signature SeekTable Padding"),
        "MPEG": _names("VBRFrames VBRBytes VBRScale"),
        "PDF": _names(
            "PDFVersion Linearized PageCount HasXFA PageMode PageLayout EmbeddedImage EmbeddedImageColorSpace "
            "EmbeddedImageFilter EmbeddedImageHeight EmbeddedImageWidth"
        ),
        "SVG": _names("Xmlns SVGVersion ImageHeight ImageWidth ViewBox PreserveAspectRatio"),
        "ZIP": _names(
            "ZipRequiredVersion ZipBitFlag ZipCompression ZipModifyDate ZipCRC ZipCompressedSize "
            "ZipUncompressedSize ZipFileName"
        ),
        "Composite": _names(
            "ImageSize Megapixels Rotation Duration AvgBitrate AudioBitrate ImageWidth ImageHeight FrameCount"
        ),
    }
)
"""What follows from the bytes themselves, by family."""

NEUTRAL: Mapping[tuple[str, str], frozenset[str]] = MappingProxyType(
    {
        ("File", "BMPVersion"): frozenset({"Windows V3"}),
        ("MPEG", "Encoder"): frozenset({"LAME"}),
        ("PNG", "ProfileName"): frozenset({"ICC"}),
        ("Matroska", "MuxingApp"): frozenset({"Lavf"}),
        ("Matroska", "WritingApp"): frozenset({"Lavf"}),
        ("QuickTime", "CompressorName"): frozenset({"H.264"}),
        ("QuickTime", "EncoderVendor"): frozenset({"FFMP", "FFmpeg"}),
        ("QuickTime", "HandlerVendorID"): frozenset({"Apple", "FFmpeg"}),
        ("QuickTime", "MediaLanguageCode"): frozenset({"und", "Unknown (32767)", "32767"}),
        ("QuickTime", "VendorID"): frozenset({"FFmpeg"}),
        ("Vorbis", "Vendor"): frozenset({"ffmpeg", "Lavf"}),
    }
)
"""Words that a format asks for and our own copies write; they tell nothing of the original."""

WALKED: frozenset[tuple[str, str]] = frozenset(
    ("QuickTime", f"Unknown_{kind}") for kind in ("edts", "alac", "dac3", "dec3", "vpcC", "dOps", "d263")
)
"""Fields that ExifTool cannot read and a copy's inspector does: an edit list that hides nothing, and what a decoder is
told to begin with (`decoder_records.py`)."""

# Order matters: the first pattern that is found names the class.
PATTERNS: tuple[tuple[re.Pattern[str], MetadataClass], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), about)
    for pattern, about in (
        (
            r"gps|latitude|longitude|altitude|location|geotag|geo(name|id|code)|ISO6709|\bcity\b|^city|country|"
            r"province|sub-?location|^state$|region(name|code)|^place|address|postal|zipcode|wherefrom|speedref|"
            r"imgdirection|destbearing|positioningerror|accelerometer|gyroscope|magnetometer|pitch$|^roll$|^yaw|heading",
            MetadataClass.LOCATION,
        ),
        (
            r"serial|owner|^artist|author|byline|by-line|creator(?!tool|_?app)|^contributor|credit|person|account|"
            r"email|telephone|phone(number|name)|username|user-?id|^name$|photographer|copyright|rights|uniqueid|uuid|"
            r"documentid|instanceid|deviceid|bodyid|cameraid|unitid|computername|hostcomputer|composer|performer|"
            r"uploader|captionwriter|writer-?editor|lastmodifiedby|lastsavedby|manager|company|editor$|musicbrainz|"
            r"originalartist|encodedby|publisher|^source$|contact|organi[sz]ation|birthday|formattedname|"
            r"contentidentifier|^label$|uid$",
            MetadataClass.IDENTITY,
        ),
        (
            r"thumbnail|preview|jpgfromraw|otherimage|mpimage|^picture|coverart|^cover|motionphoto|microvideo|"
            r"livephoto|embeddedvideo|postimage|largethumb|trailer.*image|^ThumbnailTIFF|attachedpic|album-?art|artwork",
            MetadataClass.THUMBNAIL,
        ),
        (r"editlist|elst|edts|trim|cropped|derivedfrom.*clip", MetadataClass.TRIMMED),
        (r"chapter|subtitle|timedtext|^timecode$|starttimecode|closedcaption", MetadataClass.TRACKS),
        (
            r"c2pa|jumbf|jumd|jumb|contentcredential|proofmode|claimsignature|signature(?!.*table)",
            MetadataClass.CREDENTIALS,
        ),
        (
            r"makernote|face|depth|gainmap|hdrgain|portrait|semantic|regioninfo|regionname|regiontype|bodypart|"
            r"runtime|burstuuid|apple(?!store)",
            MetadataClass.MAKER,
        ),
        (
            r"attachment|embeddedfile|embeddedimage|comment|keyword|revision|subject(?!area|dist)|title|description|caption|headline|"
            r"category|annotation|hiddentext|template|notes?$|lyrics|genre|album|grouping|instructions|objectname",
            MetadataClass.DOCUMENT,
        ),
        (
            r"received|returnpath|^x-|messageid|useragent|ipaddress|transport|originatingip|deliveredto",
            MetadataClass.TRANSPORT,
        ),
        (
            r"(?<!upto)date|(?<!exposure)(?<!edit)time(?!scale|code|tosample|base)|^year$|subsec|offsettime|timezone|clock|^created$|^modified$|when",
            MetadataClass.TIME,
        ),
        (
            r"^make$|model|lens|^device|cameratype|camera(make|model)|manufacturer|product|sensor|camera",
            MetadataClass.DEVICE_MODEL,
        ),
        (
            r"software|firmware|creatortool|application|program|encoder|encoding(tool|settings)|producer|generator|"
            r"writingapp|muxingapp|history|handlervendor|vendor|compressorname|toolkit|platform|derivedfrom|"
            r"editinghistory|lame|editor|version",
            MetadataClass.SOFTWARE,
        ),
        (
            r"filename|originalname|originalfile|rawfilename|preservedfilename|relatedsound|relatedimagefile|documentname|pagename",
            MetadataClass.ORIGINAL_NAME,
        ),
    )
)
