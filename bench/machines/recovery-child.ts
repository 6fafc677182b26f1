import { openSimulatedHost } from './recovery.ts'

const startedMs = performance.now()
const { host, store } = openSimulatedHost(process.argv[2] ?? '')
await host.begin()
const seconds = (performance.now() - startedMs) / 1000
globalThis.gc?.()
const machines = [...host.view.machines()].length
process.stdout.write(JSON.stringify({ seconds, rssBytes: process.memoryUsage.rss(), machines }))
host.end()
await store[Symbol.asyncDispose]()
