import type { Probe } from './probe.ts'

const NODE_MAJOR = 26

/** The pinned Node and the built-in modules that the project stands on. */
export const pinnedNode: Probe = {
  name: 'Node',
  required: true,
  needsRoot: false,
  deadlineMs: 5_000,
  async examine() {
    const version = process.versions.node
    const { DatabaseSync } = await import('node:sqlite')
    using database = new DatabaseSync(':memory:')
    const sqlite = database.prepare('SELECT sqlite_version() AS version').get()?.['version']
    const ffi = await hasForeignFunctions()
    const detail = `Node ${version}, SQLite ${sqlite}, node:ffi ${ffi ? 'there' : 'absent'}`
    if (Number(version.split('.')[0]) === NODE_MAJOR && ffi) return { state: 'ok', detail }
    return {
      state: 'degraded',
      detail,
      consequence: 'this is not the Node that the project is tested with',
      fix: 'start it through bin/godwit or bin/node',
    }
  },
}

async function hasForeignFunctions(): Promise<boolean> {
  const { builtinModules } = await import('node:module')
  return builtinModules.includes('node:ffi')
}
