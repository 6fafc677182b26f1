import { Setting, Type } from './frame.ts'
import type { FrameWriter } from './frame-writer.ts'
import { STREAM_WINDOW } from './receive-window.ts'
import { FIELDS_BYTES_MAX } from './request-lines.ts'

/** Says how this server wants to be spoken to. Source: RFC 9113, section 6.5.2; RFC 8441. */
export function writeSettings(out: FrameWriter, streamsMax: number): void {
  const settings: readonly (readonly [number, number])[] = [
    [Setting.maxConcurrentStreams, streamsMax],
    [Setting.initialWindowSize, STREAM_WINDOW],
    [Setting.maxHeaderListSize, FIELDS_BYTES_MAX],
    [Setting.enableConnectProtocol, 1],
  ]
  const payload = Buffer.alloc(settings.length * 6)
  for (const [index, [setting, value]] of settings.entries()) {
    payload.writeUInt16BE(setting, index * 6)
    payload.writeUInt32BE(value, index * 6 + 2)
  }
  out.frame(Type.settings, 0, 0, payload, 0, payload.length)
}
