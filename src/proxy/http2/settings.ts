import { Code, readUint32, Setting, Type, WINDOW_MAX } from './frame.ts'
import type { FrameWriter } from './frame-writer.ts'
import type { HpackEncoder } from './hpack-encoder.ts'
import { STREAM_WINDOW } from './receive-window.ts'
import { FIELDS_BYTES_MAX } from './request-lines.ts'

import type { SendWindow } from './send-window.ts'
import type { ServerStream } from './server-stream.ts'

const SETTING_BYTES = 6
/** In one frame. */
const SETTINGS_MAX = 32

/** Says how this server wants to be spoken to. Source: RFC 9113, section 6.5.2; RFC 8441. */
export function writeSettings(out: FrameWriter, streamsMax: number): void {
  const settings: readonly (readonly [number, number])[] = [
    [Setting.maxConcurrentStreams, streamsMax],
    [Setting.initialWindowSize, STREAM_WINDOW],
    [Setting.maxHeaderListSize, FIELDS_BYTES_MAX],
    [Setting.enableConnectProtocol, 1],
  ]
  const payload = Buffer.alloc(settings.length * SETTING_BYTES)
  for (const [index, [setting, value]] of settings.entries()) {
    payload.writeUInt16BE(setting, index * SETTING_BYTES)
    payload.writeUInt32BE(value, index * SETTING_BYTES + 2)
  }
  out.frame(Type.settings, 0, 0, payload, 0, payload.length)
}

/** What the client wants, bytes[start, end). @returns noError, or why that cannot be */
export function applySettings(
  bytes: Uint8Array,
  start: number,
  end: number,
  encoder: HpackEncoder,
  send: SendWindow,
  streams: ReadonlyMap<number, ServerStream>,
): Code {
  if (end - start > SETTINGS_MAX * SETTING_BYTES) return Code.enhanceYourCalm
  for (let at = start; at < end; at += SETTING_BYTES) {
    const setting = ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
    const value = readUint32(bytes, at + 2)
    switch (setting) {
      case Setting.headerTableSize:
        encoder.resize(value)
        break
      case Setting.enablePush:
        if (value > 1) return Code.protocolError
        break
      case Setting.maxFrameSize:
        if (value < 1 << 14 || value >= 1 << 24) return Code.protocolError
        break
      case Setting.initialWindowSize:
        if (value > WINDOW_MAX || !send.setInitial(value, streams.values()))
          return Code.flowControlError
        break
    }
  }
  return Code.noError
}
