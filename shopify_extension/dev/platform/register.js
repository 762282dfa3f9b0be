/* The one function of @shopify/web-pixels-extension. */
export const register = (begin) => shopify.extend('WebPixel::Render', begin);
