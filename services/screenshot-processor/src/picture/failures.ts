import { AppError } from '@worktide/runtime';

/** Why a picture was refused, for its owner. The codes are stable: they are stored and shown. */
const texts = {
  EMPTY: 'The file is empty.',
  UNSUPPORTED_TYPE: 'The file is not a JPEG, PNG, WebP or AVIF picture.',
  TYPE_MISMATCH: 'The file is a picture of another type than the upload declared.',
  ANIMATED: 'The file holds several pictures; a screenshot is one.',
  TOO_MANY_PIXELS: 'The picture has more pixels than are accepted.',
  CORRUPT: 'The file is damaged or incomplete.',
  TOO_SLOW: 'The picture took too long to process.',
} as const;
export type PictureFailureCode = keyof typeof texts;
export type PictureFailure = AppError & { code: PictureFailureCode };

/** A verdict on the picture: trying the same bytes again ends the same way, except perhaps with TOO_SLOW. */
export const pictureFailure = (code: PictureFailureCode, cause?: unknown): PictureFailure =>
  new AppError(code, texts[code], { statusCode: 422, cause }) as PictureFailure;

/** Tells a verdict from trouble of ours, such as a file that cannot be read, which says nothing about the picture. */
export const isPictureFailure = (error: unknown): error is PictureFailure =>
  error instanceof AppError && error.statusCode === 422 && Object.hasOwn(texts, error.code);
