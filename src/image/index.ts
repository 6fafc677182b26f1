/**
 * image: OCI images, from a registry to a root file system. Owns the host's cache of their blobs.
 * Reading order: reference.ts, manifest.ts, registry-client.ts, blob-store.ts, bring-image.ts, pull.ts,
 * import-image.ts, then
 * tar-reader.ts, apply-layer.ts and unpack.ts for what happens to layers, base-images.ts for the result.
 */
export type { BaseImage, BaseImagesOptions } from './base-images.ts'
export { BaseImages } from './base-images.ts'
export type { BlobSource, BlobStoreOptions } from './blob-store.ts'
export { BlobStore } from './blob-store.ts'
export type { PulledImage, PullOptions } from './bring-image.ts'
export type { Digest } from './digest.ts'
export { digestOf, parseDigest } from './digest.ts'
export type { ImageErrorCode } from './errors.ts'
export { ImageError } from './errors.ts'
export { makeExt4Image } from './ext4-image.ts'
export type { ImageConfig, StartOverrides } from './image-config.ts'
export { commandOf, envOf, parseImageConfig } from './image-config.ts'
export type { ImageUser } from './image-user.ts'
export { readUserFiles, resolveUser } from './image-user.ts'
export { importImage } from './import-image.ts'
export type { Descriptor, Manifest } from './manifest.ts'
export type { Platform } from './platform.ts'
export { hostPlatform } from './platform.ts'
export { pullImage } from './pull.ts'
export { startRealRegistry } from './real-registry.ts'
export type { ImageReference } from './reference.ts'
export { formatReference, parseReference } from './reference.ts'
export type { Credentials } from './registry-auth.ts'
export type { RegistryOptions } from './registry-client.ts'
export { RegistryClient } from './registry-client.ts'
export { unpackImage, unpackLayers } from './unpack.ts'
