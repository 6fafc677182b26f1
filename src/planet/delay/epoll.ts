import { closeSync } from 'node:fs'
import { NativeMemory } from '#native'
import { epollControl, epollCreate, epollWait } from './libc.ts'

export const EPOLLIN = 0x001
const EPOLL_CTL_ADD = 1
const EPOLL_CTL_DEL = 2
const EVENTS_MAX = 128

// struct epoll_event { uint32 events; uint64 data }, packed on x86-64 only. Source: epoll_event(3type).
const DATA_WORD = process.arch === 'x64' ? 1 : 2
const EVENT_WORDS = process.arch === 'x64' ? 3 : 4

/** Level-triggered readiness of file descriptors, each known by a token of the caller's choice. */
export class Epoll {
  readonly #fd = epollCreate()
  readonly #memory = new NativeMemory(EVENTS_MAX * EVENT_WORDS * 4)
  readonly #words = this.#memory.words
  readonly #control = new NativeMemory(EVENT_WORDS * 4)

  /** Reports `fd` by `token`, a uint32, when it is readable or broken. */
  add(fd: number, token: number): void {
    const { words } = this.#control
    words[0] = EPOLLIN
    words[DATA_WORD] = token
    epollControl(this.#fd, EPOLL_CTL_ADD, fd, this.#control.address)
  }

  remove(fd: number): void {
    epollControl(this.#fd, EPOLL_CTL_DEL, fd, this.#control.address)
  }

  /** Sleeps until something is ready or `timeoutUs` passed. Gives the count of events, or -errno. */
  wait(timeoutUs: number): number {
    return epollWait(this.#fd, this.#memory.address, EVENTS_MAX, timeoutUs)
  }

  /** The token of the event at `index` of the last wait. */
  token(index: number): number {
    return this.#words[index * EVENT_WORDS + DATA_WORD] ?? 0
  }

  /** Its EPOLL flags. */
  flags(index: number): number {
    return this.#words[index * EVENT_WORDS] ?? 0
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd)
  }
}
