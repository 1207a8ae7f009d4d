/** Stops what global-setup.ts started. */
export { stopServices as default } from './services.ts';
