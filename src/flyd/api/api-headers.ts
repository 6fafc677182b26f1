/** Headers of a host's API. */
export const REQUEST_ID = 'godwit-request-id'
/** How long the caller still waits, milliseconds. */
export const DEADLINE = 'godwit-deadline-ms'
/** Unix milliseconds of the caller's clock. */
export const SIGNED_AT = 'godwit-signed-at'
export const SIGNATURE = 'godwit-signature'
/** Of an answer: which start of the process gave it. Of a repeated call: which one had the first. */
export const BOOT = 'godwit-boot'

/** While a call runs, the host says `102 Processing` so often (RFC 2518, section 10.1). */
export const SIGN_OF_LIFE_MS = 2_000
/** A host that says nothing for so long is gone. */
export const SILENCE_MS_MAX = 7_000
