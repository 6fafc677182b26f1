import type { Duplex } from 'node:stream'
import { type Clock, type Log, startDeadline } from '#base'
import type { FileFacts } from './file-answer.ts'
import { SftpFiles } from './sftp-files.ts'

/** A session of SFTP with a machine of this host. @throws what its host says */
export type OpenFiles = (machine: string, signal: AbortSignal) => Promise<Duplex>

export interface FileSourceOptions {
  readonly openFiles: OpenFiles
  readonly clock: Clock
  readonly log: Log
}

/** A file as it is now. */
export interface FoundFile {
  readonly facts: FileFacts
  /** Read from memory, not from the machine. */
  readonly isKept: boolean
  /** Bytes from `start` to before `end`, in pieces. @throws SftpBroken, or RangeError: it has become shorter */
  read(start: number, end: number): AsyncIterable<Buffer>
}

/** What a machine said of a file holds for so long, that it is not there as well. */
const FRESH_MS = 1_000
/** Larger files are not kept. */
const KEPT_FILE_BYTES_MAX = 256 << 10
/** Of all files that are kept. */
const KEPT_BYTES_MAX = 32 << 20
const ENTRIES_MAX = 20_000
const READ_BYTES = 128 << 10
const SESSIONS_MAX = 256
const SESSION_IDLE_MS = 30_000
const ANSWER_MS_MAX = 10_000

interface Session {
  readonly number: number
  readonly files: SftpFiles
  usedMs: number
  idleTimer: Disposable | undefined
}

interface Entry {
  readonly facts: FileFacts | undefined
  /** A small file whole. */
  readonly content: Buffer | undefined
  readonly readMs: number
}

/**
 * Files of this host's machines, as their own init reads them. Small ones are kept while their machine says that
 * they are the same; all of it is forgotten when its session ends, which a restart does.
 */
export class FileSource implements Disposable {
  readonly #options: FileSourceOptions
  /** By machine; the least used first. */
  readonly #sessions = new Map<string, Promise<Session>>()
  /** By session and path; the least used first. */
  readonly #entries = new Map<string, Entry>()
  /** Questions under way: many who ask for one file are one. */
  readonly #asking = new Map<string, Promise<Entry>>()
  #keptBytes = 0
  #sessionNumber = 0

  constructor(options: FileSourceOptions) {
    this.#options = options
  }

  /** @returns undefined: there is no such file. @throws when the machine does not answer */
  async find(machine: string, root: string, path: string): Promise<FoundFile | undefined> {
    const session = await this.#session(machine)
    const key = `${session.number} ${root} ${path}`
    const known = this.#entries.get(key)
    const isFresh = known !== undefined && this.#nowMs() - known.readMs < FRESH_MS
    const { facts, content } = isFresh ? known : await this.#ask(session, key, root, path)
    if (isFresh) this.#keep(key, known)
    if (facts === undefined) return undefined
    return {
      facts,
      isKept: content !== undefined,
      read: (start, end) =>
        content === undefined
          ? readPart(session.files, facts.path, start, end)
          : onePart(content.subarray(start, end)),
    }
  }

  #ask(session: Session, key: string, root: string, path: string): Promise<Entry> {
    const asking = this.#asking.get(key) ?? this.#look(session, key, root, path)
    this.#asking.set(key, asking)
    const done = () => void this.#asking.delete(key)
    asking.then(done, done)
    return asking
  }

  async #look(session: Session, key: string, root: string, path: string): Promise<Entry> {
    const { files } = session
    const { clock } = this.#options
    // A guest that says nothing loses its session: nobody waits for it for ever.
    using _deadline = clock.setTimer(() => files.end(), ANSWER_MS_MAX)
    const facts = await files.find(root, path)
    const before = this.#entries.get(key)
    const isSame =
      before?.facts?.bytes === facts?.bytes && before?.facts?.modifiedS === facts?.modifiedS
    let content = isSame ? before?.content : undefined
    if (facts !== undefined && content === undefined && facts.bytes <= KEPT_FILE_BYTES_MAX) {
      const parts: Buffer[] = []
      for await (const part of readPart(files, facts.path, 0, facts.bytes)) parts.push(part)
      content = Buffer.concat(parts)
    }
    const entry = { facts, content, readMs: this.#nowMs() }
    this.#keep(key, entry)
    return entry
  }

  #keep(key: string, entry: Entry): void {
    this.#forget(key)
    this.#entries.set(key, entry)
    this.#keptBytes += entry.content?.length ?? 0
    for (const oldest of this.#entries.keys()) {
      if (this.#keptBytes <= KEPT_BYTES_MAX && this.#entries.size <= ENTRIES_MAX) return
      this.#forget(oldest)
    }
  }

  #forget(key: string): void {
    const entry = this.#entries.get(key)
    if (!this.#entries.delete(key)) return
    this.#keptBytes -= entry?.content?.length ?? 0
  }

  async #session(machine: string): Promise<Session> {
    const opening = this.#sessions.get(machine)
    const known = await opening?.catch(() => undefined)
    if (known === undefined || known.files.isBroken) {
      // Whoever came first while this one waited has begun another.
      const now = this.#sessions.get(machine)
      return await (now === undefined || now === opening ? this.#begin(machine) : now)
    }
    known.usedMs = this.#nowMs()
    if (opening !== undefined && this.#sessions.delete(machine))
      this.#sessions.set(machine, opening)
    return known
  }

  #begin(machine: string): Promise<Session> {
    this.#end(machine)
    const [oldest] = this.#sessions.keys()
    if (this.#sessions.size >= SESSIONS_MAX && oldest !== undefined) this.#end(oldest)
    const opening = this.#open(machine)
    this.#sessions.set(machine, opening)
    opening.catch(() => {
      if (this.#sessions.get(machine) === opening) this.#sessions.delete(machine)
    })
    return opening
  }

  async #open(machine: string): Promise<Session> {
    const { openFiles, clock } = this.#options
    using deadline = startDeadline('the files of a machine', ANSWER_MS_MAX, { clock })
    const files = new SftpFiles(await openFiles(machine, deadline.signal))
    this.#sessionNumber += 1
    const session: Session = {
      number: this.#sessionNumber,
      files,
      usedMs: this.#nowMs(),
      idleTimer: undefined,
    }
    this.#watch(machine, session)
    return session
  }

  /** Ends it when nobody has used it for a while. */
  #watch(machine: string, session: Session): void {
    session.idleTimer = this.#options.clock.setTimer(() => {
      const idleMs = this.#nowMs() - session.usedMs
      if (!session.files.isBroken && (session.files.pending > 0 || idleMs < SESSION_IDLE_MS)) {
        this.#watch(machine, session)
        return
      }
      this.#end(machine)
    }, SESSION_IDLE_MS)
  }

  #end(machine: string): void {
    const opening = this.#sessions.get(machine)
    this.#sessions.delete(machine)
    opening?.then(
      ({ files, idleTimer }) => {
        idleTimer?.[Symbol.dispose]()
        files.end()
      },
      () => undefined, // it never began
    )
  }

  #nowMs(): number {
    return this.#options.clock.monotonicMs()
  }

  [Symbol.dispose](): void {
    for (const machine of [...this.#sessions.keys()]) this.#end(machine)
    this.#entries.clear()
    this.#keptBytes = 0
  }
}

async function* onePart(bytes: Buffer): AsyncIterable<Buffer> {
  if (bytes.length > 0) yield bytes
}

async function* readPart(
  files: SftpFiles,
  path: string,
  start: number,
  end: number,
): AsyncIterable<Buffer> {
  if (start === end) return
  const handle = await files.open(path)
  if (handle === undefined) throw new RangeError('the file is gone')
  try {
    for (let at = start; at < end; ) {
      const part = await files.read(handle, at, Math.min(READ_BYTES, end - at))
      if (part === undefined || part.length === 0)
        throw new RangeError('the file has become shorter')
      at += part.length
      yield part
    }
  } finally {
    if (!files.isBroken) await files.close(handle)
  }
}
