import { open } from 'node:fs/promises'
import { VolumeError } from './errors.ts'
import { runTool } from './run-tool.ts'

/** Grows an ext4 file system that nobody has mounted to the end of its file or device. @throws VolumeError */
export async function growExt4(path: string, signal?: AbortSignal): Promise<void> {
  try {
    await runTool('resize2fs', [path], { signal })
  } catch (error) {
    const said = error instanceof VolumeError ? String(error.values['said']) : ''
    if (!said.includes('e2fsck -f')) throw error
    await runTool('e2fsck', ['-f', '-p', path], { signal, okCodes: [0, 1] }) // 1: it mended something
    await runTool('resize2fs', [path], { signal })
  }
}

/**
 * Bytes that an ext4 file system takes up. Source: the kernel's Documentation/filesystems/ext4/super.rst:
 * the superblock lies at 1024; blocks at 4 and 0x150, log2 of the block size less 10 at 0x18, magic at 0x38.
 *
 * @returns undefined when it is not ext4.
 */
export async function ext4Bytes(path: string): Promise<number | undefined> {
  const handle = await open(path, 'r')
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(1024), 0, 1024, 1024)
    if (bytesRead < 1024 || buffer.readUInt16LE(0x38) !== 0xef53) return undefined
    const blocks = buffer.readUInt32LE(4) + buffer.readUInt32LE(0x150) * 2 ** 32
    return blocks * 2 ** (10 + buffer.readUInt32LE(0x18))
  } finally {
    await handle.close()
  }
}
