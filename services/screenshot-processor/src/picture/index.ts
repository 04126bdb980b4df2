export type { BlurLevel } from './blur.ts';
export { isPictureFailure, type PictureFailure, type PictureFailureCode } from './failures.ts';
export {
  defaultPictureLimits,
  openPictures,
  type PictureLimits,
  type Pictures,
  type ProcessedPicture,
  type ProcessOptions,
} from './picture.ts';
