import { createHash } from 'node:crypto'
import type { GuestSpec } from '../guest-spec.ts'
import { type Accelerator, allDisks } from './command-line.ts'
import type { JailRoot } from './jail-root.ts'

/**
 * Of all machines that one saved machine can become: same QEMU, kernel, init and processor, same RAM, and
 * the same devices by kind. What the devices are (disks, MAC) is found anew at the start.
 */
export function templateKey(
  { cpu, memoryMib, network, ...spec }: GuestSpec,
  { key }: JailRoot,
  host: { readonly accelerator: Accelerator; readonly tscKhz: number | undefined },
): string {
  const disks = allDisks({ cpu, memoryMib, ...spec }).map(({ readOnly = false }) => readOnly)
  const kinds = { cpuCount: cpu.count, memoryMib, disks, hasNetwork: network !== undefined }
  return createHash('sha256')
    .update(JSON.stringify({ key, ...host, ...kinds }))
    .digest('hex')
}
