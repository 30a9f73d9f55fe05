// Step 7 of 7, show: an option's letter and colour, by its place; told apart by the letter where colours are not seen.

export const letter = (index) => (index < 26 ? String.fromCharCode(65 + index) : String(index + 1));
export const colour = (index) => String((index % 8) + 1);
