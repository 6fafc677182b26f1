import { resolve } from 'node:path'
import type { AppSession } from './app-command.ts'

/** A reference begins with neither, and has no such ending. */
export const isImagePath = (named: string) => /^\.{0,2}\//.test(named) || named.endsWith('.tar')

/** The image as machines name it: a reference stays as it is, for hosts look it up; files are brought first. */
export async function imageForMachine(
  session: AppSession,
  named: string,
  isQuiet: boolean,
): Promise<string> {
  return isImagePath(named) ? await pushedImage(session, resolve(named), isQuiet) : named
}

/** Brings an OCI layout, or what `docker save` wrote. @returns how machines name it */
export async function pushedImage(
  { client, app }: AppSession,
  path: string,
  isQuiet: boolean,
): Promise<string> {
  const { pushImage } = await import('#deploy')
  const { ProgressView } = await import('../progress.ts')
  const progress = isQuiet ? undefined : new ProgressView()
  try {
    const onProgress = progress?.step('push')
    return await pushImage(client, app, path, onProgress === undefined ? {} : { onProgress })
  } finally {
    progress?.end()
  }
}
