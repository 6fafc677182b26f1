/** What both servers of the benchmark serve: one AAAA record for each app. */
export const NETWORK_ID = 0x0002045b
export const ORG_ID = 'acme'
export const SOURCE = 'fdaa:2:45b:a7b:1:ffff:0:2'

export const appOf = (at: number): string => `app-${at}`
export const nameOf = (at: number): string => `${appOf(at)}.internal`
/** As RFC 5952 writes it. */
export const addressOf = (at: number): string => `fdaa:2:45b:a7b:1:1:${(at + 1).toString(16)}:2`
