/** The signing secret of development, where none is configured; never accepted in production. */
export const DEVELOPMENT_SECRET = 'daarion-city-development-secret-not-for-production';
