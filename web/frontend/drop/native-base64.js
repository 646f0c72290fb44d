// What tus-js-client takes from js-base64: text as UTF-8 in Base64 (RFC 4648, section 4).
export const Base64 = { encode: (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text))) };
