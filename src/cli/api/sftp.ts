import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { basename, join, posix } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { Command } from 'commander'
import type { FileEntryWithStats, SFTPWrapper, Stats } from 'ssh2'
import { shellWords } from '#base'
import { ProgressView } from '../progress.ts'
import { appCommand } from './app-command.ts'
import type { Print } from './connection.ts'
import { ApiInputError } from './input-error.ts'
import { type SshOptions, withSsh, withSshClient } from './ssh-connection.ts'

/** `godwit ssh sftp`: files to and from machines. */
export function sftpCommand(print: Print): Command {
  return new Command('sftp')
    .summary('files to and from a machine')
    .description('Copies files to and from a machine, and shows what is there.')
    .addCommand(getCommand())
    .addCommand(putCommand())
    .addCommand(findCommand(print))
    .addCommand(shellCommand(print))
}

interface CopyOptions extends SshOptions {
  readonly recursive?: boolean
  readonly force?: boolean
}

function getCommand(): Command {
  return withSsh(
    appCommand('get', 'copy a file from a machine', [
      'ssh sftp get /etc/hosts -a web',
      'ssh sftp get -R /data ./backup -a web -r ams',
    ]),
  )
    .argument('<remote>', 'path in the machine')
    .argument('[local]', 'where it goes; else its own name, here')
    .option('-R, --recursive', 'a folder with all that is in it')
    .option('--force', 'write over what is there')
    .action((remote: string, local: string | undefined, options: CopyOptions) =>
      withFiles(options, (files) => files.get(remote, local ?? basename(remote))),
    )
}

function putCommand(): Command {
  return withSsh(
    appCommand('put', 'copy a file to a machine', [
      'ssh sftp put ./config.json /etc/web.json -a web',
      'ssh sftp put -R ./public /srv/public -a web',
    ]),
  )
    .argument('<local>', 'path here')
    .argument('[remote]', 'where it goes; else its own name, in /root')
    .option('-R, --recursive', 'a folder with all that is in it')
    .option('--force', 'write over what is there')
    .action((local: string, remote: string | undefined, options: CopyOptions) =>
      withFiles(options, (files) => files.put(local, remote ?? basename(local))),
    )
}

function findCommand(print: Print): Command {
  return withSsh(appCommand('find', 'list the files of a machine', ['ssh sftp find /data -a web']))
    .argument('[path]', 'where to begin', '/')
    .action((path: string, options: SshOptions) =>
      withFiles(options, async (files) => {
        for await (const { path: found, size } of files.walk(path)) {
          print(options.json ? `${JSON.stringify({ path: found, size })}\n` : `${found}\n`)
        }
      }),
    )
}

async function withFiles(
  options: CopyOptions,
  work: (files: RemoteFiles) => Promise<void>,
): Promise<void> {
  await withSshClient(options, async (client) => {
    const view = new ProgressView()
    try {
      await work(new RemoteFiles(await client.sftp(), view, options))
    } finally {
      view.end()
    }
  })
}

/** Beyond, a folder that contains itself is suspected. */
const DEPTH_MAX = 64

/** The files of a machine. @throws SshError ssh.file_failed, with the path that it is about */
class RemoteFiles {
  readonly #sftp: SFTPWrapper
  readonly #view: ProgressView
  readonly #options: { readonly recursive?: boolean; readonly force?: boolean }

  constructor(
    sftp: SFTPWrapper,
    view: ProgressView,
    options: { readonly recursive?: boolean; readonly force?: boolean },
  ) {
    this.#sftp = sftp
    this.#view = view
    this.#options = options
  }

  async get(remote: string, local: string): Promise<void> {
    const status = await this.stat(remote)
    if (!status.isDirectory()) {
      const target = isFolder(local) ? join(local, basename(remote)) : local
      if (existsSync(target) && !this.#options.force) throw exists(target, 'here')
      return await this.#copy('get', remote, target)
    }
    this.#mayRecurse(remote)
    for await (const { path, isDirectory } of this.walk(remote)) {
      const target = join(local, posix.relative(remote, path))
      if (isDirectory) mkdirSync(target, { recursive: true })
      else await this.#copy('get', path, target)
    }
  }

  async put(local: string, remote: string): Promise<void> {
    if (!isFolder(local)) {
      const there = await this.#find(remote)
      const target = there?.isDirectory() ? posix.join(remote, basename(local)) : remote
      const isTaken = there?.isDirectory() ? await this.#find(target) : there
      if (isTaken !== undefined && !this.#options.force) throw exists(target, 'in the machine')
      return await this.#copy('put', local, target)
    }
    this.#mayRecurse(local)
    await this.#putFolder(local, remote)
  }

  /** All below, folders before what is in them; links are not followed. */
  async *walk(
    path: string,
    depth = 0,
  ): AsyncGenerator<{ path: string; size: number; isDirectory: boolean }> {
    const status = await this.#ask<Stats>(path, (done) => this.#sftp.lstat(path, done))
    const isDirectory = status.isDirectory()
    yield { path, size: status.size, isDirectory }
    if (!isDirectory || depth > DEPTH_MAX) return
    for (const { filename } of await this.list(path)) {
      yield* this.walk(posix.join(path, filename), depth + 1)
    }
  }

  async list(path: string): Promise<FileEntryWithStats[]> {
    const found = await this.#ask<FileEntryWithStats[]>(path, (done) =>
      this.#sftp.readdir(path, done),
    )
    const names = found.filter(({ filename }) => filename !== '.' && filename !== '..')
    return names.sort((a, b) => (a.filename < b.filename ? -1 : 1))
  }

  stat = (path: string) => this.#ask<Stats>(path, (done) => this.#sftp.stat(path, done))
  realpath = (path: string) => this.#ask<string>(path, (done) => this.#sftp.realpath(path, done))
  remove = (path: string) => this.#ask<void>(path, (done) => this.#sftp.unlink(path, done))
  makeFolder = (path: string) => this.#ask<void>(path, (done) => this.#sftp.mkdir(path, done))

  async #putFolder(local: string, remote: string): Promise<void> {
    if ((await this.#find(remote)) === undefined) await this.makeFolder(remote)
    for (const name of readdirSync(local)) {
      const [from, to] = [join(local, name), posix.join(remote, name)]
      if (isFolder(from)) await this.#putFolder(from, to)
      else await this.#copy('put', from, to)
    }
  }

  #copy(direction: 'get' | 'put', from: string, to: string): Promise<void> {
    const tell = this.#view.step(basename(from))
    const step = (doneBytes: number, _chunk: number, totalBytes: number) =>
      tell({ doneBytes, totalBytes })
    return this.#ask<void>(from, (done) =>
      direction === 'get'
        ? this.#sftp.fastGet(from, to, { step }, done)
        : this.#sftp.fastPut(from, to, { step }, done),
    )
  }

  async #find(path: string): Promise<Stats | undefined> {
    return await new Promise((resolve) =>
      this.#sftp.stat(path, (error, status) => resolve(error ? undefined : status)),
    )
  }

  async #ask<T>(
    path: string,
    begin: (done: (error: Error | null | undefined, value?: T) => void) => unknown,
  ): Promise<T> {
    const { SshError } = await import('#ssh')
    return await new Promise((resolve, reject) =>
      begin((cause, value) => {
        if (!cause) return resolve(value as T)
        reject(new SshError('ssh.file_failed', { what: cause.message, values: { path }, cause }))
      }),
    )
  }

  #mayRecurse(path: string): void {
    if (this.#options.recursive) return
    const values = { path }
    throw new ApiInputError('cli.bad_value', { what: 'this is a folder', values, fix: 'give -R' })
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}

const exists = (file: string, where: string) =>
  new ApiInputError('cli.bad_value', {
    what: `there is a file by this name ${where}`,
    values: { file },
    fix: 'give another name, or --force',
  })

const HELP =
  'cd PATH, ls [PATH], pwd, get PATH [LOCAL], put LOCAL [PATH], mkdir PATH, rm PATH, exit\n'

function shellCommand(print: Print): Command {
  return withSsh(
    appCommand('shell', 'go about the files of a machine', ['ssh sftp shell -a web']),
  ).action((options: SshOptions) =>
    withFiles({ ...options, recursive: true, force: true }, async (files) => {
      let folder = await files.realpath('.')
      const reading = createInterface({ input: process.stdin, output: process.stderr })
      const prompt = () => {
        if (process.stdin.isTTY) reading.prompt()
      }
      reading.setPrompt('sftp> ')
      prompt()
      for await (const line of reading) {
        const [word = '', first, second] = shellWords(line) ?? []
        if (word === 'exit' || word === 'quit') break
        try {
          folder = await runLine({ files, folder, print }, word, first, second)
        } catch (error) {
          process.stderr.write(`error: ${(error as Error).message}\n`)
          if (!process.stdin.isTTY) process.exitCode = 1
        }
        prompt()
      }
      reading.close()
    }),
  )
}

interface Shell {
  readonly files: RemoteFiles
  readonly folder: string
  readonly print: Print
}

/** @returns the folder that it is in afterwards */
async function runLine(
  { files, folder, print }: Shell,
  word: string,
  first: string | undefined,
  second: string | undefined,
): Promise<string> {
  const path = posix.resolve(folder, first ?? '.')
  if (word === 'cd') {
    if ((await files.stat(path)).isDirectory()) return await files.realpath(path)
    throw new Error(`${path} is no folder`)
  }
  if (word === 'ls') for (const { longname } of await files.list(path)) print(`${longname}\n`)
  else if (word === 'pwd') print(`${folder}\n`)
  else if (word === 'get' && first) await files.get(path, second ?? basename(path))
  else if (word === 'put' && first) {
    await files.put(first, posix.resolve(folder, second ?? basename(first)))
  } else if (word === 'mkdir' && first) await files.makeFolder(path)
  else if (word === 'rm' && first) await files.remove(path)
  else if (word !== '') print(HELP)
  return folder
}
