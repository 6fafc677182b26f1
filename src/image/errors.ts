import { GodwitError } from '#base'

export type ImageErrorCode = keyof typeof ImageError.catalogue

/** What this part throws. Registries, archives and images are outside bytes: they cause nothing else. */
export class ImageError extends GodwitError<ImageErrorCode> {
  static override readonly catalogue = {
    /** Text that is not an image reference. */
    'image.reference_bad': { status: 422 },
    /** Text that is not `sha256:` or `sha512:` and the right count of hex digits. */
    'image.digest_bad': { status: 422 },
    /** A manifest, index or config that is no JSON, or lacks what its format demands. */
    'image.manifest_bad': { status: 422 },
    /** An index without an image for this platform. */
    'image.platform_missing': { status: 422 },
    /** A layer or manifest of a kind nobody here can read. */
    'image.media_type_unknown': { status: 422 },
    /** Larger than the limit for its kind. */
    'image.too_large': { status: 422 },
    /** The registry wants other or any credentials. */
    'image.unauthorized': { status: 401 },
    /** The registry knows the caller, and refuses. */
    'image.forbidden': { status: 403 },
    /** No such image, tag or blob. */
    'image.not_found': { status: 404 },
    /** The registry asks for fewer requests. */
    'image.rate_limited': { status: 429, transient: true },
    /** The registry cannot be reached, or fails. */
    'image.registry_failed': { status: 502, transient: true },
    /** The registry answers something that the protocol does not allow. */
    'image.registry_bad': { status: 502 },
    /** The registry stopped sending. */
    'image.stalled': { status: 504, transient: true },
    /** Bytes that are not those that the digest names. */
    'image.digest_mismatch': { status: 502, transient: true },
    /** More or fewer bytes than the descriptor says. */
    'image.size_mismatch': { status: 502, transient: true },
    /** Plain HTTP to a registry that is not on this machine. */
    'image.insecure': { status: 422 },
    /** The cache is full of images that are in use. */
    'image.cache_full': { status: 507, transient: true },
    /** An archive that is cut, or no archive. */
    'image.archive_bad': { status: 422 },
    /** An archive whose entries reach beyond the root, or abuse links or devices. */
    'image.archive_hostile': { status: 422 },
    /** A user or group that the image's own files do not know. */
    'image.user_unknown': { status: 422 },
    /** An image that says neither what to start nor where. */
    'image.config_bad': { status: 422 },
    /** The kernel refused a call that writes the root file system. */
    'image.system': { status: 500 },
    /** A tool that makes file systems failed. */
    'image.tool_failed': { status: 500 },
  } as const
}
