import type { RequestHop } from '../http1/write-request.ts'
import type { ConnectionFacts } from '../route.ts'

export const PROXY_NAME = 'fly.io'

/** The Via entry of responses: what the proxy speaks with machines. */
export const responseVia = Buffer.from(`1.1 ${PROXY_NAME}`)

/** Header lines that every request of one connection gets. */
export function requestHop(
  region: string,
  facts: ConnectionFacts,
  isTls: boolean,
  httpVersion: '1.1' | '2',
): RequestHop {
  const { clientAddress, localAddress, localPort } = facts
  const proto = isTls ? 'https' : 'http'
  const ssl = isTls ? 'on' : 'off'
  const lines = [
    `Fly-Client-IP: ${clientAddress}`,
    `Fly-Forwarded-Port: ${localPort}`,
    `Fly-Forwarded-Proto: ${proto}`,
    `Fly-Forwarded-SSL: ${ssl}`,
    `Fly-Region: ${region}`,
    `X-Forwarded-Proto: ${proto}`,
    `X-Forwarded-SSL: ${ssl}`,
  ]
  return {
    lines: Buffer.from(lines.map((line) => `${line}\r\n`).join('')),
    forwardedFor: Buffer.from(`${clientAddress}, ${localAddress}`),
    forwardedPort: Buffer.from(String(localPort)),
    via: Buffer.from(`${httpVersion} ${PROXY_NAME}`),
    hostWithout: Buffer.from(localAddress.includes(':') ? `[${localAddress}]` : localAddress),
  }
}
