export interface NewSshCertificate {
  readonly organization: string
  /** @default all of the organisation */
  readonly app?: string
  /** `ssh-ed25519 AAAA...` */
  readonly publicKey: string
  /** Users as whom it lets in. @default root, fly */
  readonly principals?: readonly string[]
  /** 1 to 72. @default 1 */
  readonly validHours?: number
}
