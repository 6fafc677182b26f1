/** As `image_ref` of the API. Empty: unknown, or not there. */
export interface ImageRefJson {
  readonly registry: string
  readonly repository: string
  readonly tag: string
  readonly digest: string
  readonly labels: Readonly<Record<string, string>>
}
